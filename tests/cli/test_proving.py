"""What ``update --prove`` makes of what its clients went through."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.cli.probes import Broken, Tally, http_client
from tbtwist.cli.proving import Report, hosts_of
from tbtwist.config.schema import HttpWorker, Settings

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
BAD = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


class ReportTests(SynchronousTestCase):
    """One failure is too many."""

    def tally(self, answered: int = 5, *failures: Exception) -> Tally:
        """Return what a client went through."""
        tally = Tally(sent=answered + len(failures), answered=answered)
        for failure in failures:
            tally.fail(failure)
        return tally

    def test_good(self) -> None:
        """All answered, nothing failed: fine, and the file says so."""
        report = Report(1.5, {"http-1": self.tally()})
        self.assertTrue(report.ok)
        path = Path(tempfile.mkdtemp()) / "run" / "r.json"
        self.addCleanup(path.unlink)
        report.write(path)
        found = json.loads(path.read_text())
        self.assertEqual((found["ok"], found["error"]), (True, None))
        self.assertEqual(found["slots"]["http-1"]["answered"], 5)

    def test_felt(self) -> None:
        """A single failure is named and makes all of it bad."""
        tallies = {"http-1": self.tally(), "ws-1": self.tally(9, OSError("refused"))}
        report = Report(1.0, tallies)
        self.assertFalse(report.ok)
        self.assertIn("ws-1: 1 x OSError: refused", report.sentences())

    def test_nobody_asked(self) -> None:
        """A slot that answered nothing was not proved."""
        self.assertFalse(Report(1.0, {"http-1": self.tally(0)}).ok)

    def test_failed_update(self) -> None:
        """An update that failed is bad, however well the clients were."""
        self.assertFalse(Report(1.0, {"http-1": self.tally()}, "no").ok)

    def test_hosts(self) -> None:
        """A wildcard is reached on this machine."""
        settings = Settings(http_worker=HttpWorker(host="0.0.0.0"))
        self.assertEqual(hosts_of(settings)["http"], "127.0.0.1")


class HttpClientTests(SynchronousTestCase):
    """A client that keeps its connection, against a server of bytes."""

    def run_client(self, *answers: bytes) -> tuple[Tally, int]:
        """Ask once an answer; return the tally and how many connections there were."""
        tally, connections = Tally(), 0
        left = list(answers)

        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            nonlocal connections
            connections += 1
            while left:
                try:
                    await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError:
                    break
                answer = left.pop(0)
                writer.write(answer)
                if b"close" in answer or not answer:
                    break
            writer.close()

        async def main() -> None:
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            async with server:
                place = server.sockets[0].getsockname()
                asked = iter(answers)

                def going_on() -> bool:
                    return next(asked, None) is not None

                await http_client(place, tally, pause_s=0, going_on=going_on)

        _run(main())
        return tally, connections

    def test_kept_alive(self) -> None:
        """One connection is enough as long as the server keeps it."""
        tally, connections = self.run_client(GOOD, GOOD, GOOD)
        self.assertEqual((tally.sent, tally.answered, connections), (3, 3, 1))

    def test_told_to_go(self) -> None:
        """An announced end is no failure: the next request takes another connection."""
        tally, connections = self.run_client(GOOD, LAST, GOOD)
        self.assertEqual((tally.answered, connections), (3, 2))
        self.assertFalse(tally.failures)

    def test_cut(self) -> None:
        """A connection that ends without an answer is felt."""
        tally, _ = self.run_client(b"")
        self.assertEqual((tally.answered, tally.failures.total()), (0, 1))

    def test_bad_answers(self) -> None:
        """So are errors of the server, and what is no HTTP at all."""
        tally, _ = self.run_client(BAD, b"what?\r\n\r\n")
        self.assertEqual((tally.answered, tally.failures.total()), (0, 2))
        self.assertIn(f"{Broken.__name__}: the answer was 500", tally.failures)


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(work)
