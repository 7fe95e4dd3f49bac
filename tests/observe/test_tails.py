"""The ends of log files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from threading import Event, Thread
from typing import Any

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.config.schema import Logging
from tbtwist.observe.files import LogFolder
from tbtwist.observe.tails import Line, Tail, merged
from tests.observe.logfolders import DAY, MIDNIGHT, LogFolderCase


def at(second: int, text: str) -> str:
    """Return a record of that second."""
    return f"2026-11-24T08:00:{second:02}.000Z info [x] {text}"


class TailTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        """Have a place for it."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "http-1.log"
        self.tail = self.another()

    def another(self) -> Tail:
        """Return a tail of the file; it is closed after the test."""
        tail = Tail("http-1", self.path)
        self.addCleanup(tail.close)
        return tail

    def add(self, text: str) -> None:
        """Write to the file's end."""
        with self.path.open("a") as file:
            file.write(text)

    def texts(self, lines: list[Line]) -> list[str]:
        """Return the lines as text."""
        self.assertEqual({line.worker for line in lines} - {"http-1"}, set())
        return [line.text for line in lines]

    def test_last(self) -> None:
        """The last lines, not those before."""
        self.add("a\nb\nc\n")
        self.assertEqual(self.texts(self.tail.last(2)), ["b", "c"])
        self.assertEqual(self.texts(self.another().last(0)), [])
        self.assertEqual(self.texts(self.another().last(9)), ["a", "b", "c"])

    def test_long_file(self) -> None:
        """Only the end of a long file is read, from the first whole line on."""
        self.add("".join(f"{number:09}\n" for number in range(60_000)))
        found = self.texts(self.tail.last(50_000))
        self.assertEqual(found[-1], "000059999")
        self.assertLess(len(found), 30_000)
        self.assertTrue(all(len(text) == 9 for text in found))

    def test_more(self) -> None:
        """What is added comes once, when its line is complete."""
        self.add("a\n")
        self.tail.last(5)
        self.assertEqual(self.tail.more(), [])
        self.add("b\nc")
        self.assertEqual(self.texts(self.tail.more()), ["b"])
        self.add("d\n")
        self.assertEqual(self.texts(self.tail.more()), ["cd"])

    def test_begun_line(self) -> None:
        """A line that was only begun at the first look is completed later."""
        self.add("a\nb")
        self.assertEqual(self.texts(self.tail.last(5)), ["a"])
        self.add("c\n")
        self.assertEqual(self.texts(self.tail.more()), ["bc"])

    def test_rotation(self) -> None:
        """A new file is read from its beginning."""
        self.add("a\n")
        self.tail.last(5)
        self.path.rename(self.path.with_suffix(".log.1"))
        self.assertEqual(self.tail.more(), [])
        self.add("b\n")
        self.assertEqual(self.texts(self.tail.more()), ["b"])

    def test_cut(self) -> None:
        """So is one that was emptied."""
        self.add("long enough\n")
        self.tail.last(5)
        self.path.write_text("b\n")
        self.assertEqual(self.texts(self.tail.more()), ["b"])

    def test_not_there_yet(self) -> None:
        """A file may come later."""
        self.assertEqual(self.tail.last(5), [])
        self.assertEqual(self.tail.more(), [])
        self.add("a\n")
        self.assertEqual(self.texts(self.tail.more()), ["a"])


class RotationTests(LogFolderCase):
    """A log that is set aside while somebody looks on."""

    def tail(self) -> Tail:
        """Return a tail of http-1's log; it is closed after the test."""
        tail = Tail("http-1", self.folder / "http-1.log")
        self.addCleanup(tail.close)
        return tail

    def texts(self, lines: list[Line]) -> list[str]:
        """Return the lines as text."""
        return [line.text for line in lines]

    def test_last_lines_before(self) -> None:
        """Right after midnight, the last lines are yesterday's."""
        file = self.file()
        file.write("a\nb\n")
        self.now += DAY
        file.write("c\n")
        self.assertEqual(self.texts(self.tail().last(2)), ["b", "c"])
        self.assertEqual(self.texts(self.tail().last(9)), ["a", "b", "c"])
        self.assertEqual(self.tail().last(0), [])

    def test_several_at_once(self) -> None:
        """Files that came and went between two looks are read, in their order."""
        file, tail = self.file(max_file_bytes=4096), self.tail()
        file.write("first\n")
        self.assertEqual(self.texts(tail.last(5)), ["first"])
        lines = [f"{number:04}{'x' * 1000}" for number in range(20)]
        for line in lines:
            file.write(line + "\n")
        self.assertGreater(len(self.names()), 4)
        self.assertEqual(self.texts(tail.more()), lines)
        self.assertEqual(tail.more(), [])

    def test_before_the_first_file(self) -> None:
        """So are those that came before there was anything at all."""
        file, tail = self.file(max_file_bytes=4096), self.tail()
        self.assertEqual(tail.last(5), [])
        lines = [f"{number:04}{'x' * 1000}" for number in range(20)]
        for line in lines:
            file.write(line + "\n")
        self.assertEqual(self.texts(tail.more()), lines)

    def test_moved_by_others(self) -> None:
        """What is written to a file that logrotate has moved is read."""
        file, tail = self.file(), self.tail()
        file.write("a\n")
        tail.last(5)
        self.names()
        (self.folder / "http-1.log").rename(self.folder / "http-1.log.1")
        file.write("b\n")
        self.assertEqual(self.texts(tail.more()), ["b"])
        self.now += 1
        file.write("c\n")
        self.assertEqual(self.texts(tail.more()), ["c"])

    @given(
        st.lists(
            st.sampled_from(["write", "day", "look", "move", "restart"]), max_size=40
        )
    )
    def test_nothing_is_lost_or_doubled(self, steps: list[str]) -> None:
        """Whatever happens in between, every line comes once, in order."""
        shutil.rmtree(self.folder, ignore_errors=True)
        rules: dict[str, Any] = {"max_file_bytes": 4096, "kept_files": 1000}
        file, tail = self.file(**rules), self.tail()
        written, seen = 0, self.texts(tail.last(0))
        for step in steps:
            if step == "write":
                file.write(f"{written} {'x' * 1500}\n")
                written += 1
            elif step == "day":
                self.now += DAY
            elif step == "look":
                seen += self.texts(tail.more())
            elif step == "restart":
                file.close()
            elif (self.folder / "http-1.log").exists():
                seen += self.texts(tail.more())  # what others move before is theirs
                self.now += 1
                path = self.folder / "http-1.log"
                path.rename(self.folder / f"moved-{written}-{self.now}")
        seen += self.texts(tail.more())
        self.assertEqual([int(text.split()[0]) for text in seen], list(range(written)))


class FollowTests(TestCase):
    """A writer that does not wait for whoever looks on."""

    timeout = 60

    def test_fast_writer(self) -> None:
        """Every line comes once, in order, over a hundred files."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        ended = Event()
        thread = Thread(target=_write, args=(folder, ended))
        tail = Tail("http-1", folder / "http-1.log")
        self.addCleanup(tail.close)
        tail.last(0)
        thread.start()
        self.addCleanup(thread.join)
        seen: list[str] = []
        while not ended.is_set():
            seen += [line.text.split()[0] for line in tail.more()]
        seen += [line.text.split()[0] for line in tail.more()]
        self.assertEqual(seen, [str(number) for number in range(_LINES)])
        self.assertGreater(len(list(folder.iterdir())), 100)


_LINES = 20_000


def _write(folder: Path, ended: Event) -> None:
    """Write many lines, some of them a day apart, as fast as possible."""
    now = [MIDNIGHT]
    settings = Logging(max_file_bytes=4096, kept_files=1000, kept_days=0)
    file = LogFolder(folder, settings, lambda: now[0], print).file("http-1")
    for number in range(_LINES):
        now[0] += DAY if number % 1000 == 999 else 0.001
        file.write(f"{number} {'x' * 40}\n")
    file.close()
    ended.set()


class MergeTests(SynchronousTestCase):
    """Several files."""

    def test_order_of_time(self) -> None:
        """Whoever spoke first stands first; tracebacks stay with their record."""
        one = [Line("a", at(1, "x")), Line("a", "Traceback"), Line("a", at(4, "y"))]
        two = [Line("b", '{"time":"2026-11-24T08:00:02Z"}'), Line("b", at(3, "z"))]
        found = [line.text for line in merged([one, two])]
        self.assertEqual(
            found,
            [
                at(1, "x"),
                "Traceback",
                '{"time":"2026-11-24T08:00:02Z"}',
                at(3, "z"),
                at(4, "y"),
            ],
        )
