"""The ends of log files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.observe.tails import Line, Tail, merged


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
        self.tail = Tail("http-1", self.path)

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
        self.assertEqual(self.texts(Tail("http-1", self.path).last(0)), [])
        self.assertEqual(self.texts(Tail("http-1", self.path).last(9)), ["a", "b", "c"])

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
