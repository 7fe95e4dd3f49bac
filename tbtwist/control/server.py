"""Answers on the control socket, for the user who runs the manager and for root."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist.boundaries import ManagerPort
from tbtwist.control.messages import (
    MAX_MESSAGE_BYTES,
    Done,
    Failed,
    LinkReply,
    LinkRequest,
    PlanReply,
    PlanRequest,
    Reply,
    Request,
    ScaleRequest,
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
    decode_request,
    encode,
)
from tbtwist.errors import BadFrame, CannotBind, TbtwistError
from tbtwist.net.runtime import ensure_socket_dir
from tbtwist.services import Background

_log = Logger()

_PRIVATE_UMASK: Final = 0o177
_IDLE_TIMEOUT_S: Final = 30.0
_FLUSH_TIMEOUT_S: Final = 2.0
_MAX_CONNECTIONS: Final = 64
_MAX_REQUESTS: Final = 16
_PEER_CREDENTIALS: Final = struct.Struct("3i")

PeerUid = Callable[[Any], int]
"""Returns the user id at the other end of a transport."""


def peer_uid(transport: Any) -> int:
    """Ask the kernel who connected (SO_PEERCRED)."""
    facts = transport.getHandle().getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size
    )
    return int(_PEER_CREDENTIALS.unpack(facts)[1])


class Control:
    """Carries requests out; knows no socket.

    ``login_link`` makes an address for a browser; empty if there is no web UI.
    """

    def __init__(
        self, port: ManagerPort, login_link: Callable[[], str] = lambda: ""
    ) -> None:
        self._port = port
        self._login_link = login_link

    async def answer(self, body: bytes, tell: Callable[[Reply], None]) -> Reply:
        """Return the last reply to a request, whatever is wrong with it.

        ``tell`` gets those that come before it.
        """
        try:
            return await self._carry_out(decode_request(body), tell)
        except BadFrame as error:
            return Failed(f"the request cannot be read: {error.reason}")
        except TbtwistError as error:
            return Failed(str(error))
        except CancelledError:
            return Failed("it was given up: everything stops")
        except Exception as error:  # noqa: BLE001 - the one who asked must hear of it
            _log.failure("a control request failed")
            return Failed(f"{type(error).__name__}: {error}")

    async def _carry_out(
        self, request: Request, tell: Callable[[Reply], None]
    ) -> Reply:
        port = self._port
        match request:
            case StatusRequest() | VersionRequest() | PlanRequest():
                return self._inform(request)
            case LinkRequest():
                return self._link()
            case StartWorkerRequest(role=role):
                return StartedReply(await port.start_worker(role))
            case StopRequest(timeout_s=timeout_s):
                await port.stop(timeout_s)
            case UpdateRequest(roles=roles):
                await port.update(lambda step: tell(StepReply(step)), roles)
            case ScaleRequest(role=role, count=count):
                await port.scale(role, count)
            case StopWorkerRequest(worker=worker):
                await port.stop_worker(worker)
        return Done()

    def _link(self) -> Reply:
        url = self._login_link()
        if not url:
            return Failed("it has no web UI (manager.web_ui_enabled)")
        return LinkReply(url)

    def _inform(self, request: StatusRequest | VersionRequest | PlanRequest) -> Reply:
        """Answer what changes nothing."""
        if isinstance(request, PlanRequest):
            return PlanReply(tuple(self._port.plan(request.roles)))
        status = self._port.status()
        if isinstance(request, StatusRequest):
            return StatusReply(status)
        return VersionReply(status.manager.version, status.manager.pid)


class ControlProtocol(Int32StringReceiver, TimeoutMixin):
    """One client: its requests are answered one after another."""

    MAX_LENGTH = MAX_MESSAGE_BYTES
    factory: ControlFactory
    transport: Any

    def __init__(self) -> None:
        self._requests: deque[bytes] = deque()

    @override
    def connectionMade(self) -> None:
        """Let in who may come in."""
        if self.factory.admits(self):
            self.setTimeout(_IDLE_TIMEOUT_S)
        else:
            self.transport.abortConnection()

    @override
    def callLater(self, period: float, func: Callable[[], None]) -> Any:
        """Use our clock for ``TimeoutMixin``."""
        return self.factory.clock.callLater(period, func)

    @override
    def stringReceived(self, string: bytes) -> None:
        """Answer it after those before it."""
        self.setTimeout(None)
        self._requests.append(string)
        if len(self._requests) > _MAX_REQUESTS:
            self.transport.abortConnection()
        elif len(self._requests) == 1:
            self.factory.background.spawn("answering requests", self._answer_all())

    async def _answer_all(self) -> None:
        while self._requests:
            reply = await self.factory.control.answer(self._requests[0], self._send)
            self._requests.popleft()
            self._send(reply)
        if self in self.factory.clients:
            self.setTimeout(_IDLE_TIMEOUT_S)

    def _send(self, reply: Reply) -> None:
        if self not in self.factory.clients:
            return
        try:
            self.sendString(encode(reply))
        except BadFrame as error:
            self.sendString(encode(Failed(f"the answer is too long: {error.reason}")))

    @override
    def lengthLimitExceeded(self, length: int) -> None:
        """Say so and close: nothing after it can be read."""
        self._send(Failed(f"a request of {length} bytes is too long"))
        self.transport.loseConnection()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the client."""
        self.setTimeout(None)
        self.factory.left(self)


class ControlFactory(Factory[ControlProtocol]):
    """The clients that are connected, at most 64."""

    noisy = False

    def __init__(self, clock: Any, control: Control, whose: PeerUid) -> None:
        self.clock = clock
        self.control = control
        self.background = Background()
        self.clients: dict[ControlProtocol, Deferred[None]] = {}
        self._whose = whose

    @override
    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol:
        """Return the protocol for a new client."""
        protocol = ControlProtocol()
        protocol.factory = self
        return protocol

    def admits(self, client: ControlProtocol) -> bool:
        """Whether it is the same user or root, and there is room."""
        uid = self._whose(client.transport)
        self.clients[client] = Deferred()
        if uid not in {0, os.getuid()}:
            _log.warn("user {uid} may not control this manager", uid=uid)
            return False
        return len(self.clients) <= _MAX_CONNECTIONS

    def left(self, client: ControlProtocol) -> None:
        """Take note that a client is gone."""
        self.clients.pop(client).callback(None)

    def close(self) -> Deferred[Any]:
        """Send what is still to be sent and close all connections."""
        gone = DeferredList(list(self.clients.values()))
        for client in tuple(self.clients):
            client.transport.loseConnection()
        return gone

    def abort(self) -> None:
        """Close at once what is still open."""
        for client in tuple(self.clients):
            client.transport.abortConnection()


class ControlServer(Service):
    """The control socket while the manager runs."""

    def __init__(
        self,
        reactor: Any,
        port: ManagerPort,
        path: Path,
        whose: PeerUid = peer_uid,
        *,
        login_link: Callable[[], str] = lambda: "",
    ) -> None:
        self._reactor = reactor
        self._path = path
        control = Control(port, login_link)
        self._factory = ControlFactory(reactor, control, whose)
        self._listening: IListeningPort | None = None

    @override
    def privilegedStartService(self) -> None:
        """Listen, or raise."""
        self.bind()

    def bind(self) -> None:
        """Listen on the path, which nobody but this user can open at any moment.

        Raises:
            CannotBind: the path is taken, or cannot be made.
            DataDirUnusable: its directory is somebody else's.
        """
        if self._listening is not None:
            return
        ensure_socket_dir(self._path)
        _remove_stale(self._path)
        before = os.umask(_PRIVATE_UMASK)
        try:
            self._listening = self._reactor.listenUNIX(
                str(self._path), self._factory, mode=0o600
            )
        except CannotListenError as error:
            raise _cannot(self._path, str(error.socketError)) from error
        finally:
            os.umask(before)

    @override
    def startService(self) -> None:
        """Answer from now on."""
        super().startService()
        self.bind()

    @override
    def stopService(self) -> Deferred[None]:
        """Stop listening; who waits for an answer that is there still gets it."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            if not self._path.exists():
                self._path.touch(mode=0o600)  # Twisted removes it, or never stops
            await maybeDeferred(listening.stopListening)
        deadline = self._reactor.callLater(_FLUSH_TIMEOUT_S, self._factory.abort)
        await self._factory.close()
        if deadline.active():
            deadline.cancel()
        self._factory.background.cancel_all()


def _cannot(path: Path, reason: str) -> CannotBind:
    return CannotBind(what="the control socket", address=str(path), reason=reason)


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on any more; leave everything else."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise _cannot(path, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise _cannot(path, error.strerror or str(error)) from error
    raise _cannot(path, "another manager answers there")
