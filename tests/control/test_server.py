"""The control server, in memory."""

from __future__ import annotations

import os
from typing import Any

import attrs
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.control.messages import (
    MAX_MESSAGE_BYTES,
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
    decode_reply,
    encode,
)
from tbtwist.control.server import Control, ControlFactory, ControlProtocol
from tbtwist.status import UpdateStep
from tests.control.fakes import REFUSED, STATUS, FakeManager


@attrs.define(eq=False)
class Client:
    """One connection, as the test sees it."""

    protocol: ControlProtocol
    transport: Any

    def sends(self, *requests: Request) -> None:
        """Send requests in one piece."""
        bodies = [encode(request) for request in requests]
        self.sends_raw(b"".join(PREFIX.pack(len(body)) + body for body in bodies))

    def sends_raw(self, data: bytes) -> None:
        """Send bytes."""
        self.protocol.dataReceived(data)

    def replies(self) -> list[Reply]:
        """Return what came back since the last look."""
        data: bytes = self.transport.value()
        self.transport.clear()
        found = []
        while data:
            (length,) = PREFIX.unpack(data[: PREFIX.size])
            found.append(decode_reply(data[PREFIX.size : PREFIX.size + length]))
            data = data[PREFIX.size + length :]
        return found


class ControlServerTests(SynchronousTestCase):
    """What clients get to their requests."""

    def setUp(self) -> None:
        """Have a manager and somebody who may control it."""
        self.clock = Clock()
        self.manager = FakeManager()
        self.uid = os.getuid()
        self.factory = ControlFactory(
            self.clock, Control(self.manager), lambda _transport: self.uid
        )

    def client(self) -> Client:
        """Connect."""
        protocol = self.factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return Client(protocol, transport)

    def test_status(self) -> None:
        """Who asks how everything is learns it."""
        client = self.client()
        client.sends(StatusRequest())
        self.assertEqual(client.replies(), [StatusReply(STATUS)])

    def test_version(self) -> None:
        """Who asks for the version gets it, with the manager's pid."""
        client = self.client()
        client.sends(VersionRequest())
        self.assertEqual(client.replies(), [VersionReply("0.1.0", 42)])

    def test_stop_answers_when_it_is_done(self) -> None:
        """The answer to stop comes when everything has stopped, not before."""
        client = self.client()
        client.sends(StopRequest(12))
        self.assertEqual((self.manager.stops, client.replies()), ([12], []))
        self.manager.stopping.callback(None)
        self.assertEqual(client.replies(), [Done()])

    def test_update(self) -> None:
        """Who updates hears of every step, and of the end when it has come."""
        self.manager.steps = (UpdateStep("http-1", "starting", 4),)
        self.manager.outcome = Deferred()
        client = self.client()
        client.sends(UpdateRequest(("http",)))
        self.assertEqual(client.replies(), [StepReply(self.manager.steps[0])])
        self.manager.outcome.callback(None)
        self.assertEqual(client.replies(), [Done()])
        self.assertEqual(self.manager.orders, [("update", "http")])

    def test_orders(self) -> None:
        """Every other order reaches the manager, too."""
        client = self.client()
        client.sends(
            PlanRequest(("ws",)),
            StartWorkerRequest("http"),
            StopWorkerRequest("http-2"),
            ScaleRequest("ws", 4),
        )
        self.assertEqual(
            client.replies(),
            [PlanReply(("replace ws-1",)), StartedReply("http-3"), Done(), Done()],
        )
        self.assertEqual(
            self.manager.orders,
            [("start", "http"), ("stop", "http-2"), ("scale", "ws", 4)],
        )

    def test_link(self) -> None:
        """A link into the web UI is made for whom asks; without one there is none."""
        client = self.client()
        client.sends(LinkRequest())
        (reply,) = client.replies()
        assert isinstance(reply, Failed)
        self.assertIn("web_ui_enabled", reply.reason)
        control = Control(self.manager, lambda: "http://127.0.0.1:9000/#login=x")
        self.factory.control = control
        client.sends(LinkRequest())
        self.assertEqual(
            [LinkReply("http://127.0.0.1:9000/#login=x")], client.replies()
        )

    def test_one_after_another(self) -> None:
        """A request is looked at when the one before it has been answered."""
        client = self.client()
        client.sends(StopRequest(12), StatusRequest())
        self.assertEqual(client.replies(), [])
        self.manager.stopping.callback(None)
        self.assertEqual(client.replies(), [Done(), StatusReply(STATUS)])

    def test_impatient_client(self) -> None:
        """A client that heaps up requests is sent away."""
        client = self.client()
        client.sends(StopRequest(12), *[StatusRequest()] * 16)
        self.assertTrue(client.transport.disconnected)

    def test_others_need_not_wait(self) -> None:
        """While one client waits for stop, another gets its answer."""
        waiting, other = self.client(), self.client()
        waiting.sends(StopRequest(12))
        other.sends(StatusRequest())
        self.assertEqual(other.replies(), [StatusReply(STATUS)])

    def test_refusal(self) -> None:
        """What the manager refuses comes back with its reason."""
        self.manager.trouble = REFUSED
        client = self.client()
        client.sends(StatusRequest())
        self.assertEqual(
            client.replies(), [Failed("The manager did not do it: it is Sunday.")]
        )

    def test_given_up(self) -> None:
        """An order that a stop has cut short says so, and is no accident."""
        self.manager.trouble = CancelledError()
        client = self.client()
        client.sends(StatusRequest())
        self.assertEqual(
            client.replies(), [Failed("it was given up: everything stops")]
        )

    def test_accident(self) -> None:
        """An error in the manager is logged, and told without a traceback."""
        self.manager.trouble = ZeroDivisionError("division by zero")
        client = self.client()
        client.sends(StatusRequest())
        self.assertEqual(
            client.replies(), [Failed("ZeroDivisionError: division by zero")]
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unreadable_request(self) -> None:
        """A request that cannot be read is answered so; the connection goes on."""
        client = self.client()
        client.sends_raw(PREFIX.pack(2) + b"{]")
        (reply,) = client.replies()
        assert isinstance(reply, Failed)
        self.assertIn("cannot be read", reply.reason)
        client.sends(StatusRequest())
        self.assertEqual(client.replies(), [StatusReply(STATUS)])

    def test_too_long_request(self) -> None:
        """A request that announces more than 1 MiB is refused before it is read."""
        client = self.client()
        client.sends_raw(PREFIX.pack(MAX_MESSAGE_BYTES + 1))
        (reply,) = client.replies()
        self.assertIsInstance(reply, Failed)
        self.assertTrue(client.transport.disconnecting)

    def test_too_long_answer(self) -> None:
        """An answer that would be too long is replaced by an apology."""
        manager = replace(STATUS.manager, version="x" * MAX_MESSAGE_BYTES)
        self.manager.answer = replace(STATUS, manager=manager)
        client = self.client()
        client.sends(StatusRequest())
        (reply,) = client.replies()
        self.assertIsInstance(reply, Failed)

    def test_somebody_else(self) -> None:
        """Another user of the machine is turned away without a word."""
        self.uid = os.getuid() + 1
        client = self.client()
        self.assertTrue(client.transport.disconnected)
        self.assertEqual(client.replies(), [])

    def test_root(self) -> None:
        """Root may control every manager."""
        self.uid = 0
        client = self.client()
        self.assertFalse(client.transport.disconnected)

    def test_too_many(self) -> None:
        """The 65th client at once is turned away; when one leaves there is room."""
        clients = [self.client() for _ in range(65)]
        self.assertEqual(
            [c.transport.disconnected for c in clients[-2:]], [False, True]
        )
        for gone in (clients[0], clients[-1]):
            gone.protocol.connectionLost()
        self.assertFalse(self.client().transport.disconnected)
        for each in (*clients[1:-1],):
            each.protocol.connectionLost()

    def test_idle_client(self) -> None:
        """A client that says nothing for 30 s is sent away."""
        client = self.client()
        client.sends_raw(b"\0")
        self.clock.advance(30)
        self.assertTrue(client.transport.disconnecting)

    def test_waiting_is_not_idling(self) -> None:
        """A client that waits for an answer may wait as long as it takes."""
        client = self.client()
        client.sends(StopRequest(600))
        self.clock.advance(599)
        self.assertFalse(client.transport.disconnecting)

    def test_left_before_the_answer(self) -> None:
        """A client that left gets nothing, and leaves no timer behind."""
        client = self.client()
        client.sends(StopRequest(12))
        client.protocol.connectionLost()
        self.manager.stopping.callback(None)
        self.assertEqual((client.replies(), self.clock.getDelayedCalls()), ([], []))

    def test_close(self) -> None:
        """Closing waits until the clients have got what was sent."""
        client = self.client()
        closing = self.factory.close()
        self.assertTrue(client.transport.disconnecting)
        self.assertNoResult(closing)
        client.protocol.connectionLost()
        self.successResultOf(closing)

    def test_abort(self) -> None:
        """Who does not take its answer is cut off."""
        client = self.client()
        self.factory.abort()
        self.assertTrue(client.transport.disconnected)
