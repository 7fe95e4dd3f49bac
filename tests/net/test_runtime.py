"""Socket names that fit into an address."""

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

names = st.text(alphabet="abcdefghijä", min_size=1, max_size=90)


class PathTests(SynchronousTestCase):
    """Where sockets are."""

    def test_short_directory(self) -> None:
        """Usually the sockets are in the data directory."""
        data_dir = Path("/var/lib/tb")
        self.assertEqual(socket_path(data_dir, "c.sock"), data_dir / "c.sock")
        self.assertEqual(runtime_dir(data_dir), data_dir / "run")

    @given(st.lists(names, min_size=1, max_size=4))
    def test_always_fits(self, parts: list[str]) -> None:
        """However long the data directory's name, an address holds the socket's."""
        data_dir = Path("/", *parts)
        self.assertLessEqual(
            len(os.fsencode(socket_path(data_dir, "control.sock"))), 107
        )
        self.assertLessEqual(len(os.fsencode(runtime_dir(data_dir))) + 40, 107)

    def test_long_directories_differ(self) -> None:
        """Two long data directories do not share their sockets; one finds its own again."""
        one, other = Path("/", "x" * 200, "a"), Path("/", "x" * 200, "b")
        self.assertNotEqual(runtime_dir(one), runtime_dir(other))
        self.assertEqual(runtime_dir(one), runtime_dir(Path("/", "x" * 200, "a")))


class PrivateTests(SynchronousTestCase):
    """Directories for nobody else."""

    def setUp(self) -> None:
        """Have a folder."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def test_made(self) -> None:
        """A directory is made for this user only, and may be there already."""
        for _ in range(2):
            ensure_private(self.folder / "a" / "b")
        self.assertEqual((self.folder / "a" / "b").stat().st_mode & 0o777, 0o700)

    def test_closed_to_others(self) -> None:
        """A directory that others could enter is closed to them."""
        (self.folder / "open").mkdir(mode=0o755)
        ensure_private(self.folder / "open")
        self.assertEqual((self.folder / "open").stat().st_mode & 0o777, 0o700)

    def test_a_trap(self) -> None:
        """A link that somebody laid in its place is not followed."""
        (self.folder / "link").symlink_to(self.folder)
        error = self.assertRaises(DataDirUnusable, ensure_private, self.folder / "link")
        self.assertEqual(error.reason, "it belongs to somebody else")

    def test_a_file(self) -> None:
        """A file in its place is an error with a reason."""
        (self.folder / "file").touch()
        error = self.assertRaises(DataDirUnusable, ensure_private, self.folder / "file")
        self.assertEqual(error.reason, "File exists")

    def test_data_directory_is_left_alone(self) -> None:
        """The data directory itself is not touched for the sake of a socket."""
        (self.folder / "data").mkdir(mode=0o750)
        ensure_socket_dir(self.folder / "data" / "c.sock")
        self.assertEqual((self.folder / "data").stat().st_mode & 0o777, 0o750)

    def test_short_name(self) -> None:
        """The directory with the hashed name is made when it is needed."""
        path = socket_path(self.folder / ("x" * 200), "c.sock")
        ensure_socket_dir(path)
        self.addCleanup(path.parent.rmdir)
        self.assertEqual(path.parent.stat().st_mode & 0o777, 0o700)
