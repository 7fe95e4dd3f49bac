"""Uploaded files, and the folder that they wait in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from stat import S_IMODE

from hypothesis import given, settings as run_with, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.uploads import Spool, UploadedFile, UploadFolder


class FolderTestCase(SynchronousTestCase):
    """Has a folder for uploads."""

    def setUp(self) -> None:
        """Make the folder."""
        self.root = Path(self.mktemp())
        self.folder = UploadFolder(self.root)
        self.addCleanup(self.folder.close)

    def upload(self, content: bytes, memory_bytes: int = 10) -> UploadedFile:
        """Return an upload that stays in memory up to ``memory_bytes``."""
        spool = Spool(self.folder, memory_bytes)
        spool.write(content)
        spool.finish()
        return UploadedFile("a.txt", "text/plain", "field", spool)


class FileTests(FolderTestCase):
    """What an application can do with an upload."""

    @given(st.lists(st.binary(max_size=20), max_size=6))
    @run_with(deadline=None)
    def test_content(self, pieces: list[bytes]) -> None:
        """In memory or on disk, the content is what was sent."""
        content = b"".join(pieces)
        spool = Spool(self.folder, 10)
        for piece in pieces:
            spool.write(piece)
        spool.finish()
        file = UploadedFile("a.txt", "text/plain", "field", spool)
        self.assertEqual((file.size, file.read()), (len(content), content))
        self.assertEqual(b"".join(file.stream(7)), content)
        self.assertEqual(file.temp_path.read_bytes(), content)
        self.assertEqual(file.read(), content)
        file.discard()
        self.assertFalse(file.temp_path.exists())

    def test_save(self) -> None:
        """Saved, a file has moved, and is not removed any more."""
        for content in (b"small", b"x" * 11):
            file = self.upload(content)
            target = Path(self.mktemp()) / "below" / "x.txt"
            self.assertEqual(file.save_to(str(target)), target)
            file.discard()
            self.assertEqual((target.read_bytes(), file.read()), (content, content))
            self.assertEqual(file.temp_path, target)
        self.assertEqual(list(self.root.glob("*/*")), [])

    def test_copy(self) -> None:
        """Copied, a file is in both places, until the request is over."""
        for content in (b"small", b"x" * 11):
            file = self.upload(content)
            target = Path(self.mktemp()) / "x.txt"
            self.assertEqual(file.copy_to(target), target)
            self.assertEqual(file.temp_path.read_bytes(), content)
            file.discard()
            self.assertFalse(file.temp_path.exists())
            self.assertEqual(target.read_bytes(), content)

    def test_too_late(self) -> None:
        """After its request an upload is gone; asking for it leaves nothing behind."""
        for content in (b"small", b"x" * 11):
            file = self.upload(content)
            file.discard()
            target = Path(self.mktemp())
            self.assertRaises(FileNotFoundError, file.save_to, target)
            self.assertRaises(FileNotFoundError, list, file.stream())
            self.assertEqual(list(self.root.glob("*/*")), [])

    def test_permissions(self) -> None:
        """A saved file is as readable as any that the application writes."""
        target, other = Path(self.mktemp()), Path(self.mktemp())
        self.upload(b"x" * 11).save_to(target)
        other.write_bytes(b"")
        self.assertEqual(target.stat().st_mode, other.stat().st_mode)

    def test_repr(self) -> None:
        """In a log it is seen for what it is, without its content."""
        self.assertEqual(
            repr(self.upload(b"secret")), "UploadedFile('field', 'a.txt', 6 bytes)"
        )


class FolderTests(FolderTestCase):
    """One folder, several processes."""

    def test_private(self) -> None:
        """Nobody else can look into the folders."""
        own = self.folder.new_path().parent
        for folder in (self.root, own):
            self.assertEqual(S_IMODE(folder.stat().st_mode), 0o700)

    def test_names(self) -> None:
        """No two uploads have the same place."""
        paths = {self.folder.new_path() for _ in range(5)}
        self.assertEqual(len(paths), 5)

    def test_close(self) -> None:
        """Closed, it leaves nothing, and can be used again."""
        for _ in range(2):
            self.folder.new_path().write_bytes(b"x")
            self.folder.close()
            self.folder.close()
            self.assertEqual(list(self.root.iterdir()), [])

    def test_the_living_are_spared(self) -> None:
        """Sweeping touches neither one's own nor another worker's uploads."""
        other = UploadFolder(self.root)
        self.addCleanup(other.close)
        paths = [folder.new_path() for folder in (self.folder, other)]
        for path in paths:
            path.write_bytes(b"x")
        self.folder.sweep()
        self.assertTrue(all(path.exists() for path in paths))

    def test_the_dead_are_swept(self) -> None:
        """What a killed process left behind is removed at the next start."""
        text = (
            "import sys, pathlib; from tbtwist.apps.uploads import UploadFolder;"
            "folder = UploadFolder(pathlib.Path(sys.argv[1]));"
            "folder.new_path().write_bytes(b'x');"
            "print('ready', flush=True); sys.stdin.read()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", text, str(self.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdin is not None
        self.assertEqual(child.stdout.readline(), b"ready\n")
        self.folder.sweep()
        self.assertEqual(len(list(self.root.glob("*/*"))), 1)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdin.close()
        child.stdout.close()
        self.folder.sweep()
        self.assertEqual(list(self.root.iterdir()), [])

    def test_strangers(self) -> None:
        """A file in the shared folder is none of our business."""
        self.root.mkdir()
        (self.root / "note").write_text("x")
        self.folder.sweep()
        self.assertTrue((self.root / "note").exists())
