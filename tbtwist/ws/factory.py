"""What builds channels, and what they have in common.

Autobahn is unsafe by default (no size limits, any origin, no pings), so every
option is set here. Its timers run on ``txaio.config.loop``, one for the process;
those that end connections get a second more, since they fire early.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import txaio.tx
from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.interfaces import IReactorTime

from tbtwist.config.schema import WsWorker
from tbtwist.ws.connection import Message
from tbtwist.ws.core import Core
from tbtwist.ws.counts import Counts
from tbtwist.ws.deflate import Deflation, accept, decline, deflate
from tbtwist.ws.frames import server_frame
from tbtwist.ws.handshakes import Handshakes
from tbtwist.ws.outflow import Frame
from tbtwist.ws.protocol import WebSocketChannel
from tbtwist.ws.slowness import Backlog, Patterns, Policy

_CLOSE_HANDSHAKE_S: Final = 3
_TIMER_SLACK_S: Final = 1
_SHORTEST_PING_S: Final = 1


class FrameMaker:
    """Makes frames; the last message's are kept, for whoever gets it too."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._message: Message | None = None
        self._plain: Frame | None = None
        self._packed: dict[int, Frame] = {}

    def frame(self, message: Message, compression: Deflation | None) -> Frame:
        """Return the frame of a message, compressed if that was agreed on."""
        if self._message is not message:
            self._message, self._plain = message, None
            self._packed.clear()
        if compression is not None:
            return self._pack(message, compression.window_bits)
        if self._plain is None:
            self._plain = self._make(message, 0)
        return self._plain

    def _pack(self, message: Message, bits: int) -> Frame:
        frame = self._packed.get(bits)
        if frame is None:
            frame = self._packed[bits] = self._make(message, bits)
        return frame

    def _make(self, message: Message, bits: int) -> Frame:
        packed = deflate(message.data, bits) if bits else None
        data = server_frame(
            message.data if packed is None else packed,
            binary=message.binary,
            compressed=packed is not None,
        )
        channel = message.channel
        return Frame(data, self._patterns.policy(channel), channel or "")


class ChannelFactory(WebSocketServerFactory):
    """Builds a channel for every client of a `Core`."""

    noisy = False

    def __init__(
        self, core: Core, settings: WsWorker, reactor: IReactorTime, counts: Counts
    ) -> None:
        super().__init__(server="", reactor=reactor)
        self.core = core
        self.counts = counts
        self.backlog = Backlog.from_settings(settings)
        self.frames = FrameMaker(
            Patterns.of(settings.slow_clients, settings.channel_policies)
        )
        self.handshakes = Handshakes(
            reactor, settings.handshake_timeout_s, settings.max_handshakes, self._unmet
        )
        self._most = 2 * settings.max_connections
        self.setProtocolOptions(**_options(settings))
        self.protocol = _with_options(self)

    @property
    def crowded(self) -> bool:
        """Whether there are so many sockets that not even a close frame is worth it."""
        return bool(self.countConnections > self._most)

    def call_later(self, delay: float, what: Any) -> Any:
        """Call ``what`` after about ``delay`` seconds, on Autobahn's timer."""
        return self._batched_timer.call_later(delay, what)

    def soon(self, what: Callable[[], None]) -> None:
        """Call ``what`` in the reactor's next turn."""
        self.reactor.callLater(0, what)

    def dropped(self, policy: Policy, messages: int = 1) -> None:
        """Count what a slow client did not get."""
        self.counts.drops[f"slow client, {policy.value}"] += messages

    def gauges(self) -> dict[str, int]:
        """Return what `Report` tells about sockets."""
        return {
            "sockets": int(self.countConnections),
            "handshakes": len(self.handshakes),
            "waiting_bytes": self.backlog.total_bytes,
        }

    def _unmet(self, why: str) -> None:
        self.counts.refused[why] += 1


def make_factory(
    core: Core, settings: WsWorker, reactor: IReactorTime, counts: Counts
) -> ChannelFactory:
    """Return the factory that serves the WebSockets of ``core``.

    Sets ``txaio.config.loop``, where Autobahn's timers run, to ``reactor``.
    """
    txaio.tx.config.loop = reactor  # type: ignore[assignment]
    return ChannelFactory(core, settings, reactor, counts)


def _with_options(factory: ChannelFactory) -> type[WebSocketChannel]:
    """Return the channel's class with the options in it, instead of in each channel."""
    names = WebSocketChannel.CONFIG_ATTRS
    return type(
        "WebSocketChannel",
        (WebSocketChannel,),
        {
            "turns": factory,
            **{name: _plain(getattr(factory, name)) for name in names},
        },
    )


def _plain(option: Any) -> Any:
    """Keep a function from becoming a method of the class that it is put into."""
    return staticmethod(option) if callable(option) else option


def _options(settings: WsWorker) -> dict[str, Any]:
    return {
        "versions": [13],
        "webStatus": False,
        "failByDrop": False,
        "requireMaskedClientFrames": True,
        "utf8validateIncoming": True,
        "maxFramePayloadSize": settings.max_message_size,
        "maxMessagePayloadSize": settings.max_message_size,
        "maxConnections": 0,  # `crowded` decides
        "openHandshakeTimeout": 0,  # `Handshakes` has the deadline
        "closeHandshakeTimeout": _CLOSE_HANDSHAKE_S,
        "autoPingInterval": max(settings.ping_interval, _SHORTEST_PING_S),
        "autoPingTimeout": settings.ping_timeout + _TIMER_SLACK_S,
        "tcpNoDelay": True,
        "perMessageCompressionAccept": accept if settings.compression else decline,
        # `OriginRules` has decided before Autobahn sees the handshake.
        "allowedOrigins": ["*"],
        "allowNullOrigin": True,
    }
