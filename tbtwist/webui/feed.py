"""What the page is told live, as Server-Sent Events.

Who connects gets everything at once (``hello``), then each change: ``tick`` (all
workers and a sample, once a second and at every change of a state), ``log``
(lines, four times a second), ``exit``, ``action``. A listener that does not keep
up loses ticks and lines, is told how many (``lost``), and never holds others up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import attrs
import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tbtwist.status import LastExit, Status
from tbtwist.webui.accounts import Account, NginxFacts
from tbtwist.webui.actions import Action, Actions
from tbtwist.webui.history import History, Sample
from tbtwist.webui.totals import Totals

_log = Logger()

MOST_LISTENERS: Final = 16
_KEPT_LINES: Final = 600
_KEPT_EXITS: Final = 100
_TICK_S: Final = 1.0
_LOG_S: Final = 0.25
_SOON_S: Final = 0.05
_LONGEST_LINE: Final = 2000


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A line of a worker's output."""

    number: int
    at: float
    worker: str
    text: str


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: the story that an operator reads."""

    number: int
    worker: str
    generation: int
    at: str
    code: int | None
    signal: str | None
    reason: str
    in_flight: int | None
    lines: tuple[str, ...]


class Listener(Protocol):
    """Somebody who reads the feed."""

    def send(self, event: bytes, *, droppable: bool) -> None:
        """Take one event, complete as it goes over the wire."""

    def close(self) -> None:
        """There will be no more."""


def event(name: str, value: object) -> bytes:
    """Return a Server-Sent Event; JSON has no line breaks."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))


@attrs.define(eq=False)
class Feed:
    """Remembers the recent past, and tells listeners what happens.

    ``now`` is the wall clock, ``status`` asks the manager.
    """

    _clock: IReactorTime
    _now: Callable[[], float]
    _status: Callable[[], Status]
    actions: Actions
    nginx: NginxFacts = attrs.field(factory=NginxFacts, init=False)
    totals: Totals = attrs.field(factory=Totals, init=False)
    history: History = attrs.field(factory=History, init=False)
    lines: deque[Line] = attrs.field(init=False)
    exits: deque[Exit] = attrs.field(init=False)
    _listeners: dict[Listener, None] = attrs.field(factory=dict, init=False)
    _fresh: list[Line] = attrs.field(factory=list, init=False)
    _number: int = attrs.field(default=0, init=False)
    _ticking: LoopingCall = attrs.field(init=False)
    _soon: dict[str, IDelayedCall] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.lines = deque(maxlen=_KEPT_LINES)
        self.exits = deque(maxlen=_KEPT_EXITS)
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = self._clock
        self.actions.listeners.append(self.acted)

    # --- life

    def start(self) -> None:
        """Take a sample a second from now on."""
        running = self._ticking.start(_TICK_S)
        _ = running.addErrback(lambda why: _log.failure("the feed", failure=why))

    def stop(self) -> None:
        """Say goodbye to all listeners."""
        if self._ticking.running:
            self._ticking.stop()
        for call in self._soon.values():
            call.cancel()
        self._soon.clear()
        for listener in tuple(self._listeners):
            listener.close()
        self._listeners.clear()

    def join(self, listener: Listener) -> bool:
        """Tell ``listener`` everything, then every change. False: there are too many."""
        if len(self._listeners) >= MOST_LISTENERS:
            return False
        self._listeners[listener] = None
        listener.send(event("hello", self._everything()), droppable=False)
        return True

    def leave(self, listener: Listener) -> None:
        """Tell ``listener`` no more; calling this twice is fine."""
        self._listeners.pop(listener, None)

    def account(self) -> Account:
        """Return how everything is right now."""
        return Account(self._status(), self.totals, self.nginx)

    def _everything(self) -> dict[str, Any]:
        known = len(self.lines) - len(self._fresh)
        return {
            **self._present(),
            "history": list(self.history.samples),
            "lines": list(self.lines)[: max(0, known)],
            "exits": list(self.exits),
            "actions": list(self.actions.latest),
        }

    def _present(self, sample: Sample | None = None) -> dict[str, Any]:
        account = self.account()
        return {
            "now": self._now(),
            "manager": account.status.manager,
            "workers": account.everybody(),
            "totals": account.metrics(),
            "sample": sample,
        }

    # --- what happens

    def _tick(self) -> None:
        sample = self.history.add(self._now(), self.totals.all())
        if self._listeners:
            self._tell("tick", self._present(sample), droppable=True)

    def changed(self) -> None:
        """A worker has another state: the page should not wait for the next second."""
        self._later(
            "tick", _SOON_S, lambda: self._tell("tick", self._present(), droppable=True)
        )

    def said(self, worker: str, text: str) -> None:
        """Take a line of a worker's output."""
        self._number += 1
        line = Line(self._number, self._now(), worker, text[:_LONGEST_LINE])
        self.lines.append(line)
        if self._listeners:
            self._fresh.append(line)
            self._later("log", _LOG_S, self._tell_lines)

    def _tell_lines(self) -> None:
        fresh, self._fresh = self._fresh[-_KEPT_LINES:], []
        self._tell("log", fresh, droppable=True)

    def counted(self, worker: str, generation: int, figures: Any) -> None:
        """Take a worker's figures."""
        self.totals.heard(worker, generation, figures, self._now())

    def left(
        self, worker: str, generation: int, end: LastExit, lines: Sequence[str]
    ) -> None:
        """Take how a process ended."""
        self.totals.ended(worker, generation)
        self._number += 1
        story = Exit(
            number=self._number,
            worker=worker,
            generation=generation,
            at=end.at,
            code=end.code,
            signal=end.signal,
            reason=end.reason,
            in_flight=end.in_flight,
            lines=tuple(lines),
        )
        self.exits.append(story)
        self._tell("exit", story, droppable=False)

    def acted(self, action: Action) -> None:
        """Take how an action is getting on."""
        self._tell("action", action, droppable=False)

    def _later(self, what: str, seconds: float, do: Callable[[], None]) -> None:
        if what in self._soon or not self._listeners:
            return

        def due() -> None:
            del self._soon[what]
            do()

        self._soon[what] = self._clock.callLater(seconds, due)

    def _tell(self, name: str, value: object, *, droppable: bool) -> None:
        if not self._listeners:
            return
        made = event(name, value)
        for listener in tuple(self._listeners):
            listener.send(made, droppable=droppable)
