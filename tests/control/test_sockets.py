"""Control server and client over a real UNIX socket."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import reactor as _reactor  # noqa: TID251 - real sockets
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.control import path_for
from tbtwist.control.client import ControlClient
from tbtwist.control.messages import PREFIX, Done, VersionReply, encode
from tbtwist.control.server import ControlServer
from tbtwist.errors import CannotBind, ControlFailed, NoManager
from tests.control.fakes import REFUSED, STATUS, FakeManager
from tests.leftovers import forget

T = TypeVar("T")
reactor: Any = _reactor


class SocketCase(TestCase):
    """Has a data directory, a manager and a control server that is not started yet."""

    timeout = 20

    def setUp(self) -> None:
        """Make them."""
        self.data_dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.data_dir)
        self.path = path_for(self.data_dir)
        self.manager = FakeManager()
        self.server = ControlServer(reactor, self.manager, self.path)
        self.client = ControlClient.for_data_dir(self.data_dir)
        pool = ThreadPool(0, 4, name="clients")
        pool.start()
        self.addCleanup(pool.stop)
        self.pool = pool

    def serve(self) -> None:
        """Start it; it is stopped after the test."""
        self.server.privilegedStartService()
        self.server.startService()
        self.addCleanup(self.server.stopService)

    def ask(self, question: Callable[..., T], *args: Any) -> Deferred[T]:
        """Let a synchronous client ask from its thread."""
        return deferToThreadPool(reactor, self.pool, question, *args)


class ServerAndClientTests(SocketCase):
    """The command line's way to the manager."""

    async def test_status(self) -> None:
        """The client gets the manager's status whole."""
        self.serve()
        self.assertEqual(await self.ask(self.client.status), STATUS)

    async def test_ping(self) -> None:
        """The client learns version and pid."""
        self.serve()
        self.assertEqual(await self.ask(self.client.ping), VersionReply("0.1.0", 42))

    async def test_stop(self) -> None:
        """Stop comes back when the manager says that everything has stopped."""
        self.serve()
        self.manager.stopping = succeed(None)
        await self.ask(self.client.stop, 3.0)
        self.assertEqual(self.manager.stops, [3.0])

    async def test_answer_before_the_end(self) -> None:
        """An answer that is on its way arrives although the server stops right then."""
        self.server.startService()
        stopping = self.ask(self.client.stop, 3.0)
        await self.manager.asked_to_stop
        self.manager.stopping.callback(None)
        await self.server.stopService()
        await stopping
        self.assertFalse(self.path.exists())

    async def test_refused(self) -> None:
        """The manager's reason reaches the one who asked."""
        self.serve()
        self.manager.trouble = REFUSED
        error = await self.assertFailure(self.ask(self.client.status), ControlFailed)
        self.assertIn("it is Sunday", str(error))

    async def test_ping_refused(self) -> None:
        """So it does when only the version was asked for."""
        self.serve()
        self.manager.trouble = REFUSED
        error = await self.assertFailure(self.ask(self.client.ping), ControlFailed)
        self.assertIn("it is Sunday", str(error))

    async def test_stop_refused(self) -> None:
        """So does the reason why it did not stop."""
        self.serve()
        self.manager.stopping.errback(REFUSED)
        stopping: Deferred[Any] = self.ask(self.client.stop, 1.0)
        error = await self.assertFailure(stopping, ControlFailed)
        self.assertIn("it is Sunday", str(error))

    async def test_only_this_user(self) -> None:
        """The socket is for its owner only, and the process's umask is as before."""
        before = os.umask(0o022)
        self.addCleanup(os.umask, before)
        self.serve()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(os.umask(0o022), 0o022)

    async def test_kernel_names_the_client(self) -> None:
        """Who connected is asked of the kernel, and may be turned away."""
        strict = ControlServer(reactor, self.manager, self.path, lambda _t: 12_345_678)
        strict.startService()
        self.addCleanup(strict.stopService)
        await self.assertFailure(self.ask(self.client.status), ControlFailed)


class BindTests(SocketCase):
    """Taking the path."""

    async def test_path_is_gone_afterwards(self) -> None:
        """A server that has stopped leaves no socket, also when somebody removed it."""
        self.server.startService()
        self.path.unlink()
        await self.server.stopService()
        self.assertFalse(self.path.exists())

    async def test_stop_without_start(self) -> None:
        """A server that never started can be stopped."""
        await self.server.stopService()
        self.assertFalse(self.path.exists())

    async def test_stale_socket(self) -> None:
        """A socket that a killed manager left is replaced."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.path))
        self.serve()
        self.assertEqual(await self.ask(self.client.status), STATUS)

    async def test_living_manager(self) -> None:
        """The socket of a manager that answers is left alone."""
        self.serve()
        second = ControlServer(reactor, FakeManager(), self.path)
        error = self.assertRaises(CannotBind, second.privilegedStartService)
        self.assertEqual(error.reason, "another manager answers there")
        self.assertEqual(await self.ask(self.client.status), STATUS)

    async def test_not_a_socket(self) -> None:
        """A file in its place is left alone."""
        self.path.write_text("precious")
        error = self.assertRaises(CannotBind, self.server.privilegedStartService)
        self.assertIn(str(self.path), str(error))
        self.assertEqual(self.path.read_text(), "precious")

    async def test_no_directory(self) -> None:
        """A data directory that is gone is an error with a reason."""
        self.addCleanup(forget)  # the socket that Twisted could not bind
        server = ControlServer(reactor, self.manager, self.data_dir / "gone" / "c.sock")
        error = self.assertRaises(CannotBind, server.privilegedStartService)
        self.assertIn("No such file", error.reason)

    async def test_long_data_directory(self) -> None:
        """A data directory with a very long name has a control socket too."""
        data_dir = self.data_dir / ("x" * 120)
        path = path_for(data_dir)
        server = ControlServer(reactor, self.manager, path)
        server.startService()
        self.addCleanup(path.parent.rmdir)
        self.addCleanup(server.stopService)
        client = ControlClient.for_data_dir(data_dir)
        self.assertEqual(await self.ask(client.status), STATUS)


class LonelyClientTests(SynchronousTestCase):
    """A client without a manager, or with a strange one."""

    def setUp(self) -> None:
        """Have a data directory with nobody in it."""
        self.data_dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.data_dir)
        self.path = path_for(self.data_dir)
        self.client = ControlClient.for_data_dir(self.data_dir)

    def stranger(self) -> socket.socket:
        """Listen in the manager's place."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(self.path))
        listener.listen()
        return listener

    def answered_with(self, data: bytes) -> ControlFailed:
        """Return what the client says if its request is answered with ``data``.

        The whole answer is on its way before the client asks.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        self.addCleanup(theirs.close)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        self.patch(socket, "socket", lambda *_: Connected(ours))
        error = self.assertRaises(ControlFailed, self.client.status)
        assert isinstance(error, ControlFailed)
        return error

    def test_nobody(self) -> None:
        """Without a manager, that is said, with the data directory."""
        error = self.assertRaises(NoManager, self.client.status)
        self.assertEqual(error.data_dir, str(self.data_dir))

    def test_killed_manager(self) -> None:
        """A socket that a killed manager left is no manager."""
        self.stranger().close()
        self.assertRaises(NoManager, self.client.ping)

    def test_named_by_its_socket(self) -> None:
        """A client that knows only the socket names its folder."""
        error = self.assertRaises(NoManager, ControlClient(self.path).ping)
        self.assertEqual(error.data_dir, str(self.data_dir))

    def test_impossible_path(self) -> None:
        """A path that cannot be a socket's is an error with a reason."""
        client = ControlClient(self.data_dir / ("x" * 200))
        error = self.assertRaises(ControlFailed, client.ping)
        self.assertIn("too long", error.reason)

    def test_hanging_manager(self) -> None:
        """A manager that does not answer is not waited for for ever."""
        self.stranger()
        client = ControlClient(self.path, timeout_s=0.05)
        error = self.assertRaises(ControlFailed, client.status)
        self.assertEqual(error.reason, "no answer within 0.05 s")

    def test_half_an_answer(self) -> None:
        """An answer that breaks off is said to be incomplete."""
        error = self.answered_with(PREFIX.pack(100) + b"{")
        self.assertIn("ended before it was complete", error.reason)

    def test_nonsense(self) -> None:
        """An answer that is none is said to be unreadable."""
        self.assertIn(
            "cannot be read", self.answered_with(PREFIX.pack(2) + b"{]").reason
        )

    def test_endless_answer(self) -> None:
        """An answer that announces too much is not read."""
        self.assertIn("more than", self.answered_with(b"\xff" * 4).reason)

    def test_answer_to_something_else(self) -> None:
        """An answer to another question is not mistaken for ours."""
        body = encode(Done())
        error = self.answered_with(PREFIX.pack(len(body)) + body)
        self.assertEqual(error.reason, "it answered with Done")


class Connected:
    """One end of a pair that is connected already."""

    def __init__(self, pair: socket.socket) -> None:
        self._pair = pair

    def __enter__(self) -> Connected:
        """Go on."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._pair.close()

    def connect(self, _path: str) -> None:
        """It is connected."""

    def __getattr__(self, name: str) -> Any:
        """Do everything else as the socket does it."""
        return getattr(self._pair, name)
