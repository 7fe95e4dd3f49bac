"""One connection: bytes in, requests one after another, answers out (DESIGN D3).

    idle → head → body → answering → idle …
                   any of them → lingering → gone

Every request is read here, whoever answers it. One request at a time, and none while
the client leaves earlier answers unread: what comes meanwhile waits, here up to a
bound and then in the client's own socket, so answers are in order and nothing piles
up. Each state has an absolute
deadline; no byte moves it. Where the bytes stop making sense, the connection ends:
an error answer, the write side closed, and for a moment an ear for what still
comes, so that no reset destroys the answer.
"""

from __future__ import annotations

from math import inf
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist.errors import Refused
from tbtwist.http.exchange import Exchange
from tbtwist.http.fastlane import ApiLane, StarLane
from tbtwist.http.house import House
from tbtwist.http.outflow import Outflow
from tbtwist.http.parsing import Head
from tbtwist.http.reading import Reader
from tbtwist.http.states import READING, WAITING, State
from tbtwist.http.tree import TreeLane
from tbtwist.http.writing import GO_AHEAD

_log = Logger()

LINGER_S: Final = 2.0
"""How long we listen to a client that we have refused (RFC 9112 §9.6)."""
INBOX_BYTES: Final = 64 * 1024
"""How much of the next requests may wait while one is answered."""
PER_TURN: Final = 32
"""How many pipelined requests one connection may have answered in one turn."""


class Channel(Protocol):
    """A connection of an http worker. Knows framing and deadlines, no routes."""

    transport: Any
    out: Outflow

    def __init__(self, house: House) -> None:
        self.house = house
        self.peer = ""
        self.behind_proxy = False
        self._state = State.IDLE
        self._due = inf
        self._reader = Reader(house.limits)
        self._exchange: Exchange | None = None
        self._window_bytes = 0
        self._reading = True
        self._pumping = False
        self._resuming = False
        self._later: IDelayedCall | None = None

    @override
    def connectionMade(self) -> None:
        """Wait for the first request."""
        self.peer = getattr(self.transport.getPeer(), "host", "")
        house = self.house
        self.behind_proxy = house.proxies.trusts(self.peer)
        self.out = Outflow(self.transport, house.clock, house.limits.write_timeout_s)
        self._become(State.IDLE, house.limits.keepalive_s)
        house.enter(self)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget everything; nobody waits for an answer any more."""
        self._become(State.GONE)
        self._reader.clear()
        self.house.leave(self)
        if self._later is not None and self._later.active():
            self._later.cancel()
        self.out.stopProducing()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.gone()

    def _become(self, state: State, seconds: float = inf) -> None:
        self._state = state
        self._due = inf if seconds is inf else self.house.reactor.seconds() + seconds

    # --- reading -------------------------------------------------------------

    @override
    def dataReceived(self, data: bytes) -> None:
        """Read, or keep what comes too early."""
        if self._state in READING or self._state is State.ANSWERING:
            self._reader.add(data)
            if self._resuming:
                self._hold_or_listen()
            else:
                self._pump()

    def _hold_or_listen(self) -> None:
        """Read from the client, unless enough of what it sent waits here."""
        hold = self._state in WAITING and len(self._reader) > INBOX_BYTES
        if hold is self._reading and self._state is not State.GONE:
            self._reading = not hold
            if hold:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def _pump(self) -> None:
        """Read requests until there is no more, or one of them is being answered."""
        if self._pumping:
            return
        self._pumping = True
        try:
            for _ in range(PER_TURN):
                if not (self._may_step() and self._step()):
                    return
            self._resuming = True  # others have a turn first
            self._later = self.house.reactor.callLater(0, self._resume)
        except Refused as error:
            self._refuse(error)
        except Exception:  # noqa: BLE001 - one connection must not hurt the others
            _log.failure("a request could not be read", failure=Failure())
            self._refuse(Refused(500, "The server could not answer this request"))
        finally:
            self._pumping = False
            self._hold_or_listen()

    def _may_step(self) -> bool:
        """Whether there is something to read, and room for an answer."""
        if not self._reader or self._state not in READING or self._resuming:
            return False
        if self._state is State.IDLE and self.out.full:
            self._resuming = True
            self.out.on_room(self._resume)
        return not self._resuming

    def _resume(self) -> None:
        self._resuming = False
        self._pump()

    def _step(self) -> bool:
        """Read a head or a piece of a body; return whether to go on at once."""
        return self._read_body() if self._state is State.BODY else self._read_head()

    def _read_head(self) -> bool:
        if self._state is State.IDLE:
            self._become(State.HEAD, self.house.limits.header_timeout_s)
        head = self._reader.head()
        if head is None:
            return False
        self._exchange = exchange = Exchange(self, head)
        if head.length:
            self._await_body(exchange)
        else:
            exchange.lane = self._lane(exchange)
            self._answer()
        return True

    def _await_body(self, exchange: Exchange) -> None:
        house, head = self.house, exchange.head
        self._reader.expect_body(head.length, house.body_limit(head))
        exchange.lane = self._lane(exchange)
        self._window_bytes = 0
        self._become(State.BODY, house.limits.body_timeout_s)
        if head.expects_continue and not self._reader:
            self.out.write(GO_AHEAD)

    def _lane(self, exchange: Exchange) -> ApiLane | TreeLane | StarLane:
        head = exchange.head
        if head.target == b"*":
            return StarLane(exchange)
        if self.house.answers_api(head.route):
            return ApiLane(exchange)
        return TreeLane(exchange)

    def _read_body(self) -> bool:
        exchange = self._exchange
        assert exchange is not None
        assert exchange.lane is not None
        data = self._reader.body()
        if data:
            self._window_bytes += len(data)
            exchange.lane.feed(data)
        if self._reader.body_is_complete:
            self._answer()
        return True

    # --- answering -----------------------------------------------------------

    def _answer(self) -> None:
        """Let the request be answered; the connection may be elsewhere afterwards."""
        exchange = self._exchange
        assert exchange is not None
        self._become(State.ANSWERING)
        try:
            at_once = exchange.complete()
        except Refused as error:  # read to its end, so the next one can follow
            exchange.give_up()
            exchange.refuse(error)
            return
        if not at_once:
            self._become(State.ANSWERING, self.house.limits.queue_timeout_s)

    def started(self) -> None:
        """Learn that a request that had to wait is being answered."""
        self._due = inf

    def answered(self, *, keep_alive: bool) -> None:
        """Go on to the next request, or close."""
        self._exchange = None
        if self._state is State.ANSWERING and keep_alive:
            self._become(State.IDLE, self.house.limits.keepalive_s)
            self._pump()
        elif self._state is State.ANSWERING and not self._reader:
            self._close()
        else:
            self._linger()

    def _close(self) -> None:
        """Close once everything has been sent, which may take a slow reader long."""
        self._become(State.LINGERING, self.house.limits.write_timeout_s)
        self.out.close()

    def _refuse(self, error: Refused) -> None:
        """Answer that this cannot be, and end the connection."""
        exchange = self._exchange
        if exchange is None:
            exchange = Exchange(self, Head("-", b"-", b"HTTP/1.1", [], raw_path=b"-"))
        if exchange.has_begun:
            self.abort()
            return
        exchange.give_up()
        exchange.keep_alive = False
        exchange.refuse(error)

    def _linger(self) -> None:
        self._reader.clear()
        self._become(State.LINGERING, LINGER_S)
        self._hold_or_listen()
        self.out.close_write_side()

    def abort(self) -> None:
        """Cut the connection."""
        if self._state is not State.GONE:
            self.transport.abortConnection()

    # --- deadlines -----------------------------------------------------------

    def check(self, now: float) -> None:
        """Do what is due."""
        if now >= self.out.due:
            self.abort()
        elif now >= self._due:
            self._late()

    def _late(self) -> None:
        match self._state:
            case State.IDLE:
                self._close()
            case State.HEAD:
                self._refuse(
                    Refused(408, "The head of the request did not come in time")
                )
            case State.BODY:
                self._judge_pace()
            case State.ANSWERING:
                self._refuse(Refused(503, "No turn came in time"))
            case State.LINGERING if self.out.full:
                self._become(State.LINGERING, LINGER_S)
            case State.LINGERING:
                self.abort()
            case State.GONE:
                pass

    def _judge_pace(self) -> None:
        """Let a body that is only large go on; refuse one that is slow."""
        limits = self.house.limits
        enough = limits.min_body_bytes_per_s * limits.body_timeout_s
        if self._window_bytes < enough:
            self._refuse(Refused(408, "The body of the request did not come in time"))
            return
        self._window_bytes = 0
        self._become(State.BODY, limits.body_timeout_s)

    def drain(self, due: float) -> None:
        """Close by ``due`` if nothing is asked."""
        if self._state is State.IDLE:
            self._due = min(self._due, due)
