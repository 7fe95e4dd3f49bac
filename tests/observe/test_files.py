"""Log files that rotate, with whatever happens to them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.observe.files import Troubles
from tests.observe.logfolders import DAY, HOUR, MIDNIGHT, LogFolderCase

SMALL = 4096
LINE = "x" * 999 + "\n"


class RotationTests(LogFolderCase):
    """By size and by age."""

    def test_size(self) -> None:
        """No file gets larger than allowed, and no line is lost."""
        file = self.file(max_file_bytes=SMALL, kept_files=100)
        for number in range(20):
            file.write(f"{number:04}" + LINE)
        sizes = [(self.folder / name).stat().st_size for name in self.names()]
        self.assertEqual(sizes, [1004 * 4] * 5)
        self.assertEqual(
            [line[:4] for line in self.text().splitlines()],
            [f"{number:04}" for number in range(20)],
        )

    def test_midnight(self) -> None:
        """The first line of a day is in a new file."""
        file = self.file()
        file.write("today\n")
        self.now = MIDNIGHT + DAY
        file.write("tomorrow\n")
        old, new = self.names()[::-1]
        self.assertEqual(old, "http-1.log.20261125T000000.000Z")
        self.assertEqual((self.folder / old).read_text(), "today\n")
        self.assertEqual((self.folder / new).read_text(), "tomorrow\n")

    def test_restarted(self) -> None:
        """A file that a process of yesterday left is set aside, too."""
        self.file().write("old\n")
        os.utime(self.folder / "http-1.log", (self.now, self.now))
        again = self.file()
        again.write("same day\n")
        self.assertEqual(self.text(), "old\nsame day\n")
        self.assertEqual(len(self.names()), 1)
        os.utime(self.folder / "http-1.log", (self.now, self.now))
        self.now += DAY
        self.file().write("next day\n")
        self.assertEqual(len(self.names()), 2)

    def test_kept(self) -> None:
        """Of those that were set aside, the oldest go: by number, then by age."""
        file = self.file(kept_files=2, kept_days=10)
        for day in range(5):
            self.now = MIDNIGHT + day * DAY
            file.write(f"{day}\n")
        self.assertEqual(self.text(), "2\n3\n4\n")
        self.now += 20 * DAY
        file.write("later\n")
        self.assertEqual(self.text(), "4\nlater\n")

    def test_nobody_writes(self) -> None:
        """What is due happens without a line, too."""
        file = self.file(kept_days=1)
        file.write("old\n")
        self.now += DAY
        file.tidy()
        self.assertEqual(len(self.names()), 2)
        file.tidy()
        self.assertEqual(len(self.names()), 2, "an empty file stays")

    def test_tracebacks_stay_in_one_file(self) -> None:
        """A record is not parted from the lines behind it."""
        file = self.file(max_file_bytes=SMALL)
        file.write("record\n")
        for _ in range(6):
            file.write(LINE, begins=False)
        self.assertEqual(self.names(), ["http-1.log"])
        file.write("record\n")
        self.assertEqual(len(self.names()), 2)

    def test_output_without_records(self) -> None:
        """What is no record at all fills no disk, either."""
        file = self.file(max_file_bytes=SMALL, kept_files=2)
        for _ in range(100):
            file.write(LINE, begins=False)
        self.assertEqual(len(self.names()), 3)

    def test_private(self) -> None:
        """Only this user can read the files, also those that were set aside."""
        file = self.file(max_file_bytes=SMALL)
        for _ in range(9):
            file.write(LINE)
        modes = {(self.folder / name).stat().st_mode & 0o777 for name in self.names()}
        self.assertEqual(modes, {0o600})
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)

    def test_two_writers(self) -> None:
        """Two that write to one file lose nothing, and set it aside once."""
        writers = [self.file(max_file_bytes=SMALL, kept_files=99) for _ in range(2)]
        for number in range(40):
            self.now += 0.3
            writers[number % 2].write(f"{number:04}" + LINE)
        found = sorted(line[:4] for line in self.text().splitlines())
        self.assertEqual(found, [f"{number:04}" for number in range(40)])

    def test_two_writers_at_once(self) -> None:
        """What one of them has set aside a moment ago the other does not once more."""
        one, other = (self.file(max_file_bytes=SMALL) for _ in range(2))
        for writer in (one, one, one, other, one, other, one):
            writer.write(LINE)
        self.assertEqual(len(self.names()), 2)
        self.assertEqual(self.text(), LINE * 7)

    def test_threads(self) -> None:
        """Threads that write at the same time lose nothing, either."""
        file = self.file(max_file_bytes=SMALL, kept_files=1000)

        def write(first: int) -> None:
            for number in range(first, first + 1000):
                file.write(f"{number:04}\n")

        threads = [Thread(target=write, args=(n * 1000,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = sorted(self.text().splitlines())
        self.assertEqual(found, [f"{number:04}" for number in range(4000)])
        self.assertGreater(len(self.names()), 4)

    def test_any_name(self) -> None:
        """A log that was asked for elsewhere is kept as short."""
        path = self.folder.parent / "elsewhere.txt"
        file = self.logs(max_file_bytes=SMALL, kept_files=2).at(path)
        self.addCleanup(file.close)
        for _ in range(40):
            file.write(LINE)
        self.assertEqual(len(list(self.folder.parent.glob("elsewhere.txt*"))), 3)

    def test_sweep(self) -> None:
        """The files of a worker that is gone go, too; nothing else does."""
        logs = self.logs(kept_days=3)
        logs.sweep()
        for name in ("ws-9.log", "audit.log"):
            (self.folder).mkdir(exist_ok=True)
            (self.folder / name).write_text("old\n")
            (self.folder / f"{name}.20261124T000000.000Z").write_text("old\n")
            os.utime(self.folder / name, (self.now, self.now))
        (self.folder / "manager.out").write_text("old\n")
        self.now += 4 * DAY
        logs.file("http-1").write("new\n")
        os.utime(self.folder / "http-1.log", (self.now, self.now))
        logs.sweep()
        self.assertEqual(
            self.names(),
            [
                *("audit.log", "audit.log.20261124T000000.000Z"),
                *("http-1.log", "manager.out"),
            ],
        )
        self.assertEqual(self.told, [])


class OthersTests(LogFolderCase):
    """Somebody else works on the files."""

    def test_moved(self) -> None:
        """As logrotate does: a new file is begun within a second."""
        file = self.file()
        file.write("a\n")
        path = self.folder / "http-1.log"
        path.rename(self.folder / "http-1.log.1")
        file.write("b\n")
        self.now += 1
        file.write("c\n")
        self.assertEqual((self.folder / "http-1.log.1").read_text(), "a\nb\n")
        self.assertEqual(path.read_text(), "c\n")

    def test_copied_and_emptied(self) -> None:
        """As logrotate does with copytruncate: it goes on at the beginning."""
        file = self.file(max_file_bytes=SMALL)
        for _ in range(3):
            file.write(LINE)
        path = self.folder / "http-1.log"
        os.truncate(path, 0)
        self.now += 1
        for _ in range(3):
            file.write(LINE)
        self.assertEqual(path.read_text(), LINE * 3)
        self.assertEqual(self.names(), ["http-1.log"])

    def test_folder_removed(self) -> None:
        """It is made again."""
        file = self.file()
        file.write("a\n")
        (self.folder / "http-1.log").unlink()
        self.folder.rmdir()
        self.now += 1
        file.write("b\n")
        self.assertEqual(self.text(), "b\n")
        self.assertEqual(self.told, [])


class TroubleTests(LogFolderCase):
    """The disk is full, or the folder is not to be written to."""

    def full(self) -> Path:
        """Put a file in place that is on a full disk; return its path."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "http-1.log"
        path.symlink_to("/dev/full")
        return path

    def test_full_disk(self) -> None:
        """It is said once, with the reason; then how many lines are missing."""
        file = self.file()
        path = self.full()
        for _ in range(3):
            file.write("lost\n")
        self.assertEqual(len(self.told), 1)
        self.assertIn("http-1.log: No space left on device", self.told[0])
        path.unlink()
        self.now += 11
        file.write("kept\n")
        self.assertEqual(self.told[1:], ["Logs are kept again; 3 lines were lost."])
        self.assertEqual(path.read_text(), "kept\n")

    def test_unwritable_folder(self) -> None:
        """So it is where no file can be made at all."""
        self.folder.write_text("this is no folder")
        file = self.file()
        file.write("lost\n")
        file.write("lost\n")
        file.tidy()
        self.assertEqual(len(self.told), 1)
        self.folder.unlink()
        self.now += 11
        file.write("kept\n")
        self.assertEqual(self.text(), "kept\n")
        self.assertIn("2 lines were lost", self.told[1])

    def test_cannot_be_set_aside(self) -> None:
        """A file that cannot be renamed is written to all the same."""
        file = self.file(max_file_bytes=SMALL)

        def refuse(_self: Path, _target: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        self.patch(Path, "rename", refuse)
        for _ in range(10):
            file.write(LINE)
        self.assertEqual(self.text(), LINE * 10)
        self.assertEqual(len(self.told), 1)

    def test_half_a_line(self) -> None:
        """A line that was begun when the disk got full is finished before the next."""
        file = self.file()
        file.write("one\n")
        room = [3]
        write = os.write

        def narrow(descriptor: int, data: bytes) -> int:
            if not room[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = write(descriptor, data[: room[0]])
            room[0] -= count
            return count

        self.patch(os, "write", narrow)
        file.write("two, which is long\n")
        file.write("lost\n")
        room[0] = 2
        file.write("lost\n")
        room[0] = 1000
        self.now += 11
        file.write("three\n")
        self.assertEqual(self.text(), "one\ntwo, which is long\nthree\n")
        self.assertEqual(self.told[1:], ["Logs are kept again; 2 lines were lost."])


class TroublesTests(SynchronousTestCase):
    """One trouble is told once."""

    def test_flickering(self) -> None:
        """A line that fits now and then does not end the trouble."""
        now = [0.0]
        told: list[str] = []
        troubles = Troubles(told.append, lambda: now[0])
        full = OSError(errno.ENOSPC, "No space left on device")
        for _ in range(100):
            now[0] += 1
            troubles.failed(Path("a.log"), full, lost=1)
            troubles.written()
        self.assertEqual(len(told), 1)
        now[0] += HOUR
        troubles.written()
        troubles.written()
        self.assertEqual(told[1:], ["Logs are kept again; 100 lines were lost."])
        troubles.failed(Path("a.log"), full, lost=1)
        self.assertEqual(len(told), 3)
