"""Every case in memory, in both lanes: one thread, a clock, no sockets."""

from __future__ import annotations

from typing import ClassVar, Literal

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.registry import App
from tests.api.sample import sample_app
from tests.conformance.cases import CASES, PING, SMUGGLING, Case
from tests.conformance.wire import Got, read_all
from tests.http.memory import Connection, MemoryServer, limited

Lane = Literal["auto", "wsgi"]


def marking_app(marks: list[str]) -> App:
    """Return the sample with a function that leaves a mark."""
    app = sample_app()

    @app.tb(mod_name="Open", name="marked")
    async def marked() -> str:
        marks.append("served")
        return "marked"

    return app


class AutoTests(SynchronousTestCase):
    """API routes answered on the reactor."""

    lane: ClassVar[Lane] = "auto"

    def setUp(self) -> None:
        """Start the server."""
        self.marks: list[str] = []
        self.server = MemoryServer(limited(lane=self.lane), marking_app(self.marks))

    def exchange(self, case: Case) -> tuple[list[Got], Connection]:
        """Send what the case says; return what came."""
        connection = self.server.connect()
        connection.send(case.sent)
        self.server.reactor.pump([0] * 10)  # pipelined ones take several turns
        raw = connection.transport.value()
        connection.transport.clear()
        ended = connection.closing
        return read_all(raw, heads=case.heads, ended=ended), connection

    def check(self, case: Case) -> None:
        """The answers are those that the case promises."""
        got, connection = self.exchange(case)
        self.assertEqual(tuple(g.status for g in got), case.statuses, (case.name, got))
        self.assertIn(case.says, got[-1].body, case.name)
        for name, value in case.has.items():
            self.assertEqual(got[-1].headers.get(name), value, (case.name, name))
        if case.statuses != (100,) and case.closes is not None:
            self.assertEqual(connection.closing, case.closes, case.name)
        if case.statuses != (100,) and connection.closing:
            self.assertEqual(got[-1].headers.get("connection"), "close", case.name)
        elif case.statuses != (100,):
            connection.send(PING)
            self.assertEqual(connection.replies()[0].status, 200, case.name)
        connection.leave()

    def test_every_case(self) -> None:
        """Statuses, bodies, headers, and whether the connection lives on."""
        for case in CASES:
            self.check(case)
        self.assertEqual(self.server.health.in_flight, 0)

    def test_refusals_are_json(self) -> None:
        """Whatever is refused before anybody sees it is answered in the envelope."""
        for case in CASES:
            if case.closes and case.statuses[-1] >= 400:
                got, _ = self.exchange(case)
                self.assertEqual(set(got[-1].json), {"error", "message"}, case.name)

    def test_nothing_is_smuggled(self) -> None:
        """Where it is doubtful where a request ends, nothing after it is served."""
        for name, sent in SMUGGLING.items():
            connection = self.server.connect()
            connection.send(sent)
            self.server.reactor.advance(100)
            self.server.reactor.advance(100)
            replies = connection.replies()
            self.assertEqual(len(replies), 1, name)
            self.assertIn(replies[0].status, (400, 408, 431, 501), name)
            self.assertTrue(connection.closing, name)
            connection.leave()
        self.assertEqual(self.marks, [])
        self.assertEqual(self.server.health.in_flight, 0)


class WsgiTests(AutoTests):
    """API routes answered through WSGIResource: the same, in everything."""

    lane: ClassVar[Lane] = "wsgi"
