"""Asks the manager over its control socket: synchronous, for the command line."""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from tbtwist.control.messages import (
    PREFIX,
    Done,
    Failed,
    LinkReply,
    LinkRequest,
    PlanReply,
    PlanRequest,
    Reply,
    Request,
    ScaleRequest,
    Serving,
    StartedReply,
    StartWorkerRequest,
    StatusReply,
    StatusRequest,
    StepReply,
    StopRequest,
    StopWorkerRequest,
    UpdateRequest,
    VersionReply,
    VersionRequest,
    check_length,
    decode_reply,
    encode,
)
from tbtwist.control.paths import path_for
from tbtwist.errors import BadFrame, ControlFailed, NoManager
from tbtwist.status import Status, UpdateStep

_STOP_GRACE_S: Final = 5.0
_PATIENCE_S: Final = 600.0
"""How long one step may take: a start and a drain, both of them configurable."""


@attrs.frozen
class ControlClient:
    """One manager, named by its control socket.

    Every method raises `NoManager` when nobody listens there, and `ControlFailed`
    with the reason when the manager refused or did not answer in time.
    """

    path: Path
    data_dir: str = ""
    timeout_s: float = 5.0

    @classmethod
    def for_data_dir(cls, data_dir: Path) -> ControlClient:
        """Return a client for the manager of ``data_dir``."""
        return cls(path_for(data_dir), str(data_dir))

    def ping(self) -> VersionReply:
        """Return version and pid of the manager."""
        reply = self._ask(VersionRequest(), self.timeout_s)
        if isinstance(reply, VersionReply):
            return reply
        raise _unexpected(reply)

    def status(self) -> Status:
        """Return how everything is."""
        reply = self._ask(StatusRequest(), self.timeout_s)
        if isinstance(reply, StatusReply):
            return reply.status
        raise _unexpected(reply)

    def stop(self, timeout_s: float) -> None:
        """Drain and stop everything; comes back when all workers are gone.

        The manager itself ends right after that.
        """
        reply = self._ask(StopRequest(timeout_s), timeout_s + _STOP_GRACE_S)
        if not isinstance(reply, Done):
            raise _unexpected(reply)

    def plan(self, roles: Sequence[Serving]) -> tuple[str, ...]:
        """Return what an update would do, a line a step."""
        reply = self._ask(PlanRequest(tuple(roles)), self.timeout_s)
        if isinstance(reply, PlanReply):
            return reply.lines
        raise _unexpected(reply)

    def update(self, roles: Sequence[Serving]) -> Iterator[UpdateStep]:
        """Update; yield each step as it is done, to the last one."""
        for reply in self._converse(UpdateRequest(tuple(roles)), _PATIENCE_S):
            if isinstance(reply, StepReply):
                yield reply.step
            elif not isinstance(reply, Done):
                raise _unexpected(reply)

    def scale(self, role: Serving, count: int) -> None:
        """Start or stop workers until there are ``count``."""
        self._done(ScaleRequest(role, count))

    def start_worker(self, role: Serving) -> str:
        """Start one more worker; return its id when it serves."""
        reply = self._ask(StartWorkerRequest(role), _PATIENCE_S)
        if isinstance(reply, StartedReply):
            return reply.worker
        raise _unexpected(reply)

    def stop_worker(self, worker_id: str) -> None:
        """Let one worker drain and leave."""
        self._done(StopWorkerRequest(worker_id))

    def login_link(self) -> str:
        """Return an address that lets one browser into the web UI, once."""
        reply = self._ask(LinkRequest(), self.timeout_s)
        if isinstance(reply, LinkReply):
            return reply.url
        raise _unexpected(reply)

    def _done(self, request: Request) -> None:
        reply = self._ask(request, _PATIENCE_S)
        if not isinstance(reply, Done):
            raise _unexpected(reply)

    def _ask(self, request: Request, timeout_s: float) -> Reply:
        with closing(self._converse(request, timeout_s)) as replies:
            return next(replies)

    def _converse(
        self, request: Request, timeout_s: float
    ) -> Generator[Reply, None, None]:
        """Yield replies, each within ``timeout_s``, until there is a last one."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self.timeout_s)
            self._connect(connection)
            connection.settimeout(timeout_s)
            try:
                body = encode(request)
                connection.sendall(PREFIX.pack(len(body)) + body)
                while True:
                    reply = decode_reply(_receive(connection))
                    yield reply
                    if not isinstance(reply, StepReply):
                        return
            except TimeoutError as error:
                reason = f"no answer within {timeout_s:g} s"
                raise ControlFailed(reason=reason) from error
            except OSError as error:
                raise ControlFailed(reason=error.strerror or str(error)) from error
            except BadFrame as error:
                reason = f"its answer cannot be read: {error.reason}"
                raise ControlFailed(reason=reason) from error

    def _connect(self, connection: socket.socket) -> None:
        try:
            connection.connect(str(self.path))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            data_dir = self.data_dir or str(self.path.parent)
            raise NoManager(data_dir=data_dir) from error
        except OSError as error:
            raise ControlFailed(reason=error.strerror or str(error)) from error


def _receive(connection: socket.socket) -> bytes:
    (length,) = PREFIX.unpack(_exactly(connection, PREFIX.size))
    check_length(length)
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise BadFrame(reason="the connection ended before it was complete")
        received += piece
    return bytes(received)


def _unexpected(reply: Reply) -> ControlFailed:
    if isinstance(reply, Failed):
        return ControlFailed(reason=reply.reason.rstrip("."))
    return ControlFailed(reason=f"it answered with {type(reply).__name__}")
