"""Where the UNIX sockets of a data directory are."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import DataDirUnusable
from tbtwist.net.runtime import (
    ensure_private,
    ensure_socket_dir,
    runtime_dir,
    socket_path,
)

LONG = Path("/srv") / ("a" * 60) / ("b" * 60)


class PathTests(SynchronousTestCase):
    """Names that fit."""

    def test_short(self) -> None:
        """In a data directory with a short name, everything is inside it."""
        home = Path("/home/ann/.tbtwist")
        self.assertEqual(socket_path(home, "control.sock"), home / "control.sock")
        self.assertEqual(runtime_dir(home), home / "run")

    @given(folder=st.text("abcä/", min_size=1, max_size=200))
    def test_fits(self, folder: str) -> None:
        """However long the directory's name is, a socket's name fits."""
        data_dir = Path("/srv") / folder.strip("/")
        for path in (
            socket_path(data_dir, "control.sock"),
            runtime_dir(data_dir) / ("x" * 39),
        ):
            self.assertLessEqual(len(os.fsencode(path)), 107)

    def test_found_again(self) -> None:
        """Every process finds the same place, and other directories others."""
        self.assertEqual(socket_path(LONG, "a"), socket_path(LONG, "a"))
        self.assertNotEqual(socket_path(LONG, "a"), socket_path(LONG / "c", "a"))
        self.assertEqual(runtime_dir(LONG), socket_path(LONG, "a").parent)


class PrivateTests(SynchronousTestCase):
    """Directories that belong to one user."""

    def setUp(self) -> None:
        """Have a place."""
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)

    def mode(self, path: Path) -> int:
        """Return the permissions."""
        return path.stat().st_mode & 0o777

    def test_made(self) -> None:
        """A new directory is for its user alone; a second time is fine."""
        for _ in range(2):
            ensure_private(self.place / "a" / "b")
            self.assertEqual(self.mode(self.place / "a" / "b"), 0o700)

    def test_closed(self) -> None:
        """One that is open to others is closed to them."""
        (self.place / "open").mkdir()
        (self.place / "open").chmod(0o777)
        ensure_private(self.place / "open")
        self.assertEqual(self.mode(self.place / "open"), 0o700)

    def test_prepared_by_somebody(self) -> None:
        """A link or a file in its place is refused: it may lead anywhere."""
        (self.place / "link").symlink_to(self.place)
        (self.place / "file").write_text("")
        for name in ("link", "file"):
            self.assertRaises(DataDirUnusable, ensure_private, self.place / name)

    def test_somebody_elses(self) -> None:
        """A directory of another user is refused."""
        self.patch(os, "getuid", lambda: 54321)
        error = self.assertRaises(DataDirUnusable, ensure_private, self.place)
        self.assertEqual(error.reason, "it belongs to somebody else")

    def test_only_ours_is_made(self) -> None:
        """The directory of a short name is made, a data directory is not."""
        hashed = socket_path(LONG / self.place.name, "control.sock")
        self.addCleanup(shutil.rmtree, hashed.parent)
        ensure_socket_dir(hashed)
        self.assertEqual(self.mode(hashed.parent), 0o700)
        ensure_socket_dir(self.place / "data" / "control.sock")
        self.assertFalse((self.place / "data").exists())
