"""How a connection reads: whole frames by itself, the rest through Autobahn.

A frame that has come completely, and in which nothing is wrong, needs none of
Autobahn's parsing, which copies what follows for every frame. Pauses hold back
what has been read, and a client that floods us waits for its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from autobahn.websocket.protocol import FrameHeader
from typing_extensions import override

from tbtwist.ws.frames import (
    BINARY,
    INSIDE,
    OUTSIDE,
    OUTSIDE_DEFLATED,
    TEXT,
    Whole,
    is_utf8,
    read_whole,
)
from tbtwist.ws.lean import LeanProtocol

_READING: Final = (LeanProtocol.STATE_OPEN, LeanProtocol.STATE_CLOSING)
_FRAMES_A_TURN: Final = 256
"""After so many frames of one client others are served."""


class Turns(Protocol):
    """What gives others their turn."""

    def soon(self, what: Callable[[], None]) -> None:
        """Call ``what`` in the reactor's next turn."""


class ReadingProtocol(LeanProtocol):
    """Autobahn's protocol with a reader of its own."""

    maxMessagePayloadSize: int  # noqa: N815 - set from the options
    turns: Turns
    _holds = 0
    _consuming = False

    @property
    def held(self) -> bool:
        """Whether what comes is held back."""
        return self._holds > 0

    def pause(self) -> None:
        """Read nothing more, and hold back what has been read.

        Every pause needs a `resume` of its own.
        """
        self._holds += 1
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again, first what was held back."""
        self._holds -= 1
        if not self.held:
            self.transport.resumeProducing()
            self.consumeData()

    @override
    def dataReceived(self, data: bytes) -> None:
        self.data = self.data + data if self.data else data
        self.consumeData()

    @override
    def consumeData(self) -> None:
        """Read what has come; called from within itself it changes nothing."""
        if self._consuming:
            return
        self._consuming = True
        try:
            if self.state == self.STATE_CONNECTING:
                self.processHandshake()
            elif self.state == self.STATE_CLOSED:
                self.data = b""
            budget = _FRAMES_A_TURN
            while budget > 0 and self.state in _READING and not self._holds:
                budget = self._read_frames(budget)
                if budget and not self._read_with_autobahn():
                    break
        finally:
            self._consuming = False
        if not budget:
            self._go_on_later()

    def _read_frames(self, budget: int) -> int:
        """Read whole frames; return how many more may be read in this turn."""
        data, at = self.data, 0
        while budget and self.current_frame is None and not self._holds:
            whole = read_whole(data, at, self._good_firsts())
            if whole is None or not self._takes(whole):
                break
            at = whole.end
            budget -= 1
        if at:
            self.data = data[at:]
        return budget

    def _good_firsts(self) -> frozenset[int]:
        if self.inside_message:
            return INSIDE
        return OUTSIDE if self._perMessageCompress is None else OUTSIDE_DEFLATED

    def _takes(self, whole: Whole) -> bool:
        """Take a frame; False where Autobahn has to say what is wrong with it."""
        first, payload, _ = whole
        if first in {TEXT, BINARY} and self.state == self.STATE_OPEN:
            too_long = len(payload) > self.maxMessagePayloadSize
            if too_long or (first == TEXT and not is_utf8(payload)):
                return False
            if self.autoPingTimeoutCall is not None:
                self._cancelAutoPingTimeoutCall()
            self.onMessage(payload, first == BINARY)
        else:
            self._take_with_autobahn(first, payload)
        return True

    def _take_with_autobahn(self, first: int, payload: bytes) -> None:
        final, reserved, opcode = first >> 7, first >> 4 & 7, first & 0x0F
        self.current_frame = FrameHeader(
            opcode, bool(final), reserved, len(payload), ""
        )
        self.onFrameBegin()
        if self.onFrameData(payload) is not False:
            self.onFrameEnd()
        self.current_frame = None

    def _read_with_autobahn(self) -> bool:
        """Let Autobahn read a piece of what is left; False if it needs more."""
        if self._holds or self.state not in _READING:
            return False
        under_way = bool(self.data) or self.current_frame is not None
        return under_way and bool(self.processData())

    def _go_on_later(self) -> None:
        """Read no more before others have had their turn."""
        self.pause()
        self.turns.soon(self._go_on)

    def _go_on(self) -> None:
        if self.state == self.STATE_CLOSED:
            self._holds -= 1
        else:
            self.resume()
