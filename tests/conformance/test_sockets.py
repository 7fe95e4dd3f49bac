"""The table over real sockets, in both lanes, and beside waitress."""

from __future__ import annotations

from typing import ClassVar

from tests.conformance.cases import CASES, SMUGGLING, Case, ask
from tests.conformance.servers import ServersTestCase
from tests.conformance.test_memory import Lane, marking_app
from tests.conformance.wire import read_all
from tests.http.memory import limited

_LAST = ask("GET", "/api/Open/add?a=40", "Connection: close")


class AutoSocketTests(ServersTestCase):
    """API routes answered on the reactor."""

    lane: ClassVar[Lane] = "auto"

    async def test_every_case(self) -> None:
        """What holds in memory holds on the network; refusals arrive whole."""
        port, site = self.serve_ours(limited(lane=self.lane))
        for case in CASES:
            if case.statuses == (100,):
                continue
            raw = await self.talk(port, case, _LAST)
            got = [g for g in read_all(raw, heads=case.heads) if g.status != 100]
            usable = got[-1].status == 200 and b'"data":41' in got[-1].body
            statuses = tuple(g.status for g in got[: -1 if usable else None])
            self.assertEqual(statuses, case.statuses, case.name)
            self.assertTrue(all(g.complete for g in got), case.name)
            if case.closes is not None:
                self.assertEqual(usable, not case.closes, case.name)
        self.assertEqual(site.house.health.in_flight, 0)

    async def test_nothing_is_smuggled(self) -> None:
        """The corpus, on the network."""
        marks: list[str] = []
        self.app = marking_app(marks)
        self.addCleanup(self.app.pool.stop, lambda: None)
        port, _ = self.serve_ours(
            limited(lane=self.lane, header_timeout_s=0.1, body_timeout_s=0.1)
        )
        for name, sent in SMUGGLING.items():
            case = Case(name=name, sent=sent, statuses=(), closes=True)
            (got,) = read_all(await self.talk(port, case, b""))
            self.assertIn(got.status, (400, 408, 501), name)
        self.assertEqual(marks, [])


class WsgiSocketTests(AutoSocketTests):
    """API routes answered through WSGIResource and its threads."""

    lane: ClassVar[Lane] = "wsgi"


class ElsewhereTests(ServersTestCase):
    """The same WSGI application under another server."""

    async def test_waitress(self) -> None:
        """Where HTTP leaves no choice, waitress answers the same."""
        ours, _ = self.serve_ours(limited(lane="auto"))
        theirs = self.serve_waitress()
        for case in CASES:
            if case.elsewhere:
                our_raw = await self.talk(ours, case, _LAST)
                their_raw = await self.talk(theirs, case, _LAST)
                told, expected = (
                    [(g.status, g.body) for g in read_all(raw, heads=case.heads)]
                    for raw in (our_raw, their_raw)
                )
                much = len(case.statuses)  # waitress closes after a 204
                self.assertEqual(told[:much], expected[:much], case.name)
