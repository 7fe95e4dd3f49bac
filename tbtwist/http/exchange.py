"""One request and its answer: identity, counters, framing, access log."""

from __future__ import annotations

from typing import Any, Final, Protocol

from tbtwist.api.request import REQUEST_ID, Request
from tbtwist.api.response import Headers, Response
from tbtwist.errors import Refused
from tbtwist.http.house import House
from tbtwist.http.outflow import Outflow
from tbtwist.http.parsing import Head
from tbtwist.http.writing import head_bytes, status_line
from tbtwist.net.proxies import TrustedProxies
from tbtwist.tracing import Trace, continued

CLIENT_LEFT: Final = 499
_ALWAYS_ANSWERED: Final = frozenset({b"/health", b"/ready"})
"""What a supervisor asks must be answered above all by a worker that is full."""


class Line(Protocol):
    """What an exchange needs of its connection."""

    house: House
    out: Outflow
    peer: str
    behind_proxy: bool
    transport: Any

    def started(self) -> None:
        """Learn that the request's turn has come."""

    def answered(self, *, keep_alive: bool) -> None:
        """Go on to the next request, or close."""

    def abort(self) -> None:
        """Cut the connection: the client must see that the answer is broken."""


class Lane(Protocol):
    """Who answers: takes the body, then starts; ``cancel`` when nobody listens."""

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""

    def complete(self) -> None:
        """Learn that the body is complete; `Refused` if it is no good."""

    def start(self) -> None:
        """Answer now."""

    def cancel(self) -> None:
        """Stop, and free what is held; the exchange is over."""


class Exchange:
    """One request and its answer, whoever gives it."""

    __slots__ = (
        "_began_at", "_open", "chunked", "client_ip", "head", "headers", "house",
        "keep_alive", "lane", "line", "request_id", "secure", "sent_bytes", "silent",
        "status", "trace",
    )  # fmt: skip

    def __init__(self, line: Line, head: Head) -> None:
        house = line.house
        self.line, self.house, self.head = line, house, head
        self.lane: Lane | None = None
        self.headers = headers = head.headers()
        given = headers.get("x-request-id", "")
        valid = REQUEST_ID.match(given)
        self.request_id = given if valid else house.new_request_id()
        headers["x-request-id"] = self.request_id
        parent = headers.get("traceparent")
        self.trace = None if parent is None else self._continue(parent)
        self.client_ip, self.secure = line.peer, False
        if line.behind_proxy:
            self._believe_proxy(house.proxies)
        self.keep_alive = head.keep_alive
        self.silent = head.method == "HEAD"
        self.chunked = False
        self.status = CLIENT_LEFT
        self.sent_bytes = 0
        self._open = True
        self._began_at = house.reactor.seconds()
        house.health.request_started()

    def _continue(self, parent: str) -> Trace | None:
        state = self.headers.get("tracestate", "")
        return continued(parent, state, self.house.dispatcher.random)

    def _believe_proxy(self, proxies: TrustedProxies) -> None:
        get = self.headers.get
        self.client_ip = proxies.client_of(self.line.peer, get("x-forwarded-for", ""))
        scheme = get("x-forwarded-proto", "")
        self.secure = proxies.is_secure(self.line.peer, "http", scheme)

    # --- its turn ------------------------------------------------------------

    def complete(self) -> bool:
        """Answer as soon as it is this one's turn; return whether that is now.

        Raises:
            Refused: the body is no good, or 503: too many wait already.
        """
        lane = self.lane
        assert lane is not None
        lane.complete()
        if self.head.raw_path in _ALWAYS_ANSWERED:
            self._start()
            return True
        if self.house.admission.is_full:
            raise Refused(503, "Too many requests at once")
        return self.house.admission.enter(self, self._start)

    def _start(self) -> None:
        self.line.started()
        if self.lane is not None:
            self.lane.start()

    def has_run(self) -> None:
        """Let the next one run; what is left is only to be sent."""
        self.house.admission.leave(self)

    # --- its answer ----------------------------------------------------------

    def answer(self, response: Response) -> None:
        """Send a whole answer, head and body in one write."""
        body = response.body
        assert isinstance(body, bytes)
        head = self.begin(response.status, response.headers, len(body))
        if self.silent:
            self.line.out.write(head)
        else:
            self.sent_bytes = len(body)
            self.line.out.write(head + body)
        self.finish()

    def refuse(self, error: Refused) -> None:
        """Answer in the words of all our failures."""
        head = self.head
        request = Request(head.method, head.path, headers=self.headers)
        self.answer(self.house.dispatcher.refuse(request, error))

    def begin(
        self, status: int, headers: Headers, length: int | None, line: str = ""
    ) -> bytes:
        """Return the head of an answer; its framing is decided here.

        ``length`` is the body's; where it is not known, the body comes in chunks,
        or ends with the connection if the client knows no chunks. ``line`` is the
        status line if it is not the usual one.
        """
        self.status = status
        has_body = status >= 200 and status not in (204, 304)
        self.silent = self.silent or not has_body
        lines = self.house.server_lines()
        if has_body:
            lines += self._framing(length)
        if self.house.health.draining:
            self.keep_alive = False
        if not self.keep_alive:
            lines += "Connection: close\r\n"
        elif self.head.version == b"HTTP/1.0":
            lines += "Connection: keep-alive\r\n"
        return head_bytes(line or status_line(status), headers, lines)

    def _framing(self, length: int | None) -> str:
        if length is not None:
            return f"Content-Length: {length}\r\n"
        if self.head.version == b"HTTP/1.0":
            self.keep_alive = False
            return ""
        self.chunked = not self.silent
        return "Transfer-Encoding: chunked\r\n"

    # --- its end -------------------------------------------------------------

    def finish(self) -> None:
        """Count and log a complete answer, and go on to the next request."""
        if self._end(self.status):
            self.lane = None  # no cycle is left for the collector
            self.line.answered(keep_alive=self.keep_alive)

    def gone(self) -> None:
        """Learn that the client has left; nobody needs an answer any more."""
        if self._end(CLIENT_LEFT):
            self.give_up()

    def give_up(self) -> None:
        """Free what the lane holds; somebody else answers."""
        lane, self.lane = self.lane, None
        if lane is not None:
            self.house.admission.leave(self)
            lane.cancel()

    @property
    def has_begun(self) -> bool:
        """Whether the head of an answer has been made."""
        return self.status != CLIENT_LEFT

    def _end(self, status: int) -> bool:
        if not self._open:
            return False
        self._open = False
        house = self.house
        house.admission.leave(self)
        house.health.request_ended()
        if house.access_log is not None:
            head = self.head
            now = house.dispatcher.now()
            took_s = house.reactor.seconds() - self._began_at
            path = head.raw_path.decode("latin-1")
            house.access_log.add(
                (now, self.client_ip, head.method, path, status, self.sent_bytes,
                 took_s, self.request_id, self.trace)
            )  # fmt: skip
        return True
