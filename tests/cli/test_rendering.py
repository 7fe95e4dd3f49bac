"""What ``status`` shows."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.cli.rendering import coloured, document, duration, headline, plain, size
from tests.cli.worlds import FULL, NOW, status

_TABLE = """\
tbtwist 0.1.0, manager pid 4711, http://127.0.0.1:8000, data in /data

id      role    state    generation  pid  port  uptime     memory    traffic          restarts  last exit and why
http-1  http    running  3           101  8000  2 h 5 min  48.2 MiB  12,345 requests  1         SIGKILL 2 min ago: killed
ws-1    ws      backoff  7           -    8010  -          -         -                6         again in 3 s; code 1: no module chat
broker  broker  running  1           100  -     -          -         -                0         -
"""


class TableTests(SynchronousTestCase):
    """The table for people."""

    def test_plain(self) -> None:
        """Every fact has its column; what is not known is a dash."""
        self.assertEqual(plain(FULL, NOW), _TABLE)

    def test_no_workers(self) -> None:
        """Without workers there are headings all the same."""
        lines = plain(status(), NOW).splitlines()
        self.assertEqual(lines[0], headline(status()))
        self.assertEqual(len(lines), 3)

    def test_terminal(self) -> None:
        """On a terminal the same facts stand in a table with colours."""
        out = io.StringIO()
        Console(file=out, width=300, force_terminal=True).print(coloured(FULL, NOW))
        shown = out.getvalue()
        self.assertIn("\x1b[32mrunning", shown)
        for fact in ("http-1", "48.2 MiB", "12,345 requests", "again in 3 s; code 1"):
            self.assertIn(fact, shown)

    def test_markup_is_not_interpreted(self) -> None:
        """Brackets in a reason are shown, not taken for markup."""
        broken = msgspec.structs.replace(FULL.workers[1], detail="[red]x[/nope]")
        out = io.StringIO()
        Console(file=out, width=300).print(coloured(status(broken), NOW))
        self.assertIn("[red]x[/nope]", out.getvalue())


class DocumentTests(SynchronousTestCase):
    """``--json`` (contract §1)."""

    def test_keys(self) -> None:
        """The keys are the contract's, in its order, and those about the bus."""
        found = msgspec.json.decode(document(FULL))
        self.assertEqual(list(found), ["schema_version", "manager", "workers"])
        self.assertEqual(found["schema_version"], 1)
        self.assertEqual(
            list(found["manager"]),
            ["pid", "version", "started_at", "http_url", "data_dir", "ui_url"],
        )
        common = "id role state generation pid port started_at uptime_s restarts"
        expected = [*common.split(), "memory_bytes", "cpu_percent"]
        http, ws, broker = found["workers"]
        bus = ["bus_pending"]
        end = ["last_exit", "bus"]
        self.assertEqual(list(http), [*expected, "requests_total", *bus, *end])
        self.assertEqual(list(ws), [*expected, "connections", *bus, *end])
        self.assertEqual(list(broker), [*expected, *end])

    def test_values(self) -> None:
        """Values are what the manager said; unknown ones are null."""
        http, ws, broker = msgspec.json.decode(document(FULL))["workers"]
        self.assertEqual(http["requests_total"], 12_345)
        self.assertEqual(
            http["last_exit"],
            {
                "at": "2026-11-24T06:38:00Z",
                "code": None,
                "signal": "SIGKILL",
                "reason": "killed",
            },
        )
        self.assertIsNone(ws["connections"])
        self.assertIsNone(broker["last_exit"])

    def test_counter_that_was_not_given(self) -> None:
        """A counter that the manager left out is null, not absent."""
        unset = msgspec.structs.replace(FULL.workers[0], requests_total=msgspec.UNSET)
        (http,) = msgspec.json.decode(document(status(unset)))["workers"]
        self.assertIsNone(http["requests_total"])
        self.assertIsNone(http["bus_pending"])


class UnitTests(SynchronousTestCase):
    """Durations and sizes."""

    def test_durations(self) -> None:
        """A duration has its two largest units."""
        cases = {
            0: "0 s",
            59.9: "59 s",
            60: "1 min",
            61: "1 min 1 s",
            3600: "1 h",
            7500: "2 h 5 min",
            90_000: "1 d 1 h",
        }
        for seconds, text in cases.items():
            self.assertEqual(duration(seconds), text)

    def test_sizes(self) -> None:
        """A size has a unit that reads well."""
        cases = {0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 2**30 * 3: "3.0 GiB"}
        for count, text in cases.items():
            self.assertEqual(size(count), text)
