"""Where the configuration file is found, and what becomes of the data directory."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.loading import Loaded, examine, load
from tbtwist.errors import ConfigError, ConfigNotFound, DataDirUnusable

_NOTHING: Mapping[str, str] = {}


class LoadingTestCase(SynchronousTestCase):
    """A home, a working directory and a system file of its own."""

    def setUp(self) -> None:
        """Make the folders."""
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.cwd, self.home = self.root / "cwd", self.root / "home"
        self.system = self.root / "etc" / "config.yaml"
        for folder in (self.cwd, self.home / ".toolboxv2", self.system.parent):
            folder.mkdir(parents=True)

    def load(
        self, path: str | None = None, environ: Mapping[str, str] = _NOTHING
    ) -> Loaded:
        """Load within this test's folders."""
        return load(
            path, environ, cwd=self.cwd, home=self.home, system_file=self.system
        )

    def write(self, path: Path, port: int) -> Path:
        """Write a configuration that can be told by its http port."""
        path.write_text(f"http_worker: {{port: {port}}}\n")
        return path


class SearchTests(LoadingTestCase):
    """Which file is read."""

    def test_order(self) -> None:
        """The first of the usual places counts; with each gone, the next one."""
        usual = [
            self.cwd / "config.yaml",
            self.cwd / "config.yml",
            self.cwd / "toolbox.yaml",
            self.cwd / "tb-manifest.yaml",
            self.cwd / "tb-manifest.yml",
            self.home / ".toolboxv2" / "config.yaml",
            self.system,
        ]
        for number, path in enumerate(usual):
            self.write(path, 7000 + number)
        for number, path in enumerate(usual):
            loaded = self.load()
            self.assertEqual(loaded.path, path)
            self.assertEqual(loaded.settings.http_worker.port, 7000 + number)
            path.unlink()
        self.assertIsNone(self.load().path)

    def test_named_files_go_first(self) -> None:
        """``-c`` goes before $TB_CONFIG, and that before the usual places."""
        self.write(self.cwd / "config.yaml", 7000)
        self.write(self.cwd / "a.yaml", 7001)
        self.write(self.home / "b.yaml", 7002)
        environ = {"TB_CONFIG": "~/b.yaml"}
        self.assertEqual(self.load(None, environ).settings.http_worker.port, 7002)
        self.assertEqual(self.load("a.yaml", environ).settings.http_worker.port, 7001)

    def test_absolute_path(self) -> None:
        """An absolute path works from anywhere; the loaded path is absolute."""
        path = self.write(self.root / "x.yaml", 7003)
        self.assertEqual(self.load(str(path)).path, path)

    def test_named_file_must_exist(self) -> None:
        """A file that somebody named and that is not there is an error."""
        self.write(self.cwd / "config.yaml", 7000)
        error = self.assertRaises(ConfigNotFound, self.load, "nope.yaml")
        self.assertEqual(
            str(error),
            f"The configuration file {self.cwd}/nope.yaml cannot be read: "
            "no such file or directory.",
        )
        environ = {"TB_CONFIG": "/nope.yaml"}
        self.assertRaises(ConfigNotFound, self.load, None, environ)

    def test_folder_instead_of_a_file(self) -> None:
        """A folder is refused with the reason."""
        error = self.assertRaises(ConfigNotFound, self.load, str(self.home))
        self.assertIn("is a directory", str(error))

    def test_pipe_instead_of_a_file(self) -> None:
        """A pipe would be waited for without end, and a device might have no end."""
        pipe = self.root / "pipe"
        os.mkfifo(pipe)
        for path in (str(pipe), "/dev/zero"):
            error = self.assertRaises(ConfigNotFound, self.load, path)
            self.assertIn("it is a device or a pipe, not a file", str(error))
        error = self.assertRaises(ConfigNotFound, self.load, None, {"TB_CONFIG": path})
        self.assertIn("/dev/zero", str(error))

    def test_nothing(self) -> None:
        """/dev/null is a configuration without a word, as everywhere."""
        self.assertEqual(self.load("/dev/null").settings.http_worker.port, 8000)

    def test_impossible_name(self) -> None:
        """A name that no file can have is refused too."""
        error = self.assertRaises(ConfigNotFound, self.load, "a\0b")
        self.assertIn("this is no file name", str(error))

    def test_names_in_messages(self) -> None:
        """A message calls a file as people see it from where they are."""
        (self.cwd / "config.yaml").write_text("debug: x")
        error = self.assertRaises(ConfigError, self.load)
        self.assertTrue(str(error).startswith("config.yaml:1:8: "))
        self.system.write_text("debug: x")
        error = self.assertRaises(ConfigError, self.load, str(self.system))
        self.assertTrue(str(error).startswith(f"{self.system}:1:8: "))

    def test_empty_file(self) -> None:
        """An empty file is the defaults."""
        (self.cwd / "config.yaml").write_text("")
        self.assertEqual(self.load().settings.http_worker.port, 8000)

    def test_warnings(self) -> None:
        """Warnings come along with the settings."""
        (self.cwd / "config.yaml").write_text("auth: {jwt_expiry: 5}")
        (warning,) = self.load().warnings
        self.assertTrue(warning.startswith("config.yaml:1:8: auth.jwt_expiry: "))


class DataDirTests(LoadingTestCase):
    """The data directory."""

    def test_made(self) -> None:
        """It is made, for us alone, and absolute."""
        path = Path(self.load().settings.data_dir)
        self.assertEqual(path, self.home / ".tbtwist")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700)

    def test_from_variable(self) -> None:
        """TB_DATA_DIR names it, with folders above it made as well."""
        path = self.root / "a" / "b"
        loaded = self.load(None, {"TB_DATA_DIR": str(path)})
        self.assertEqual(loaded.settings.data_dir, str(path))
        self.assertTrue(path.is_dir())

    def test_there_already(self) -> None:
        """One that exists is taken as it is."""
        path = self.home / ".tbtwist"
        path.mkdir(mode=0o755)
        (path / "kept").touch()
        self.load()
        self.assertTrue((path / "kept").exists())

    def test_only_looking_makes_nothing(self) -> None:
        """Looking at a configuration leaves the disk as it is."""
        loaded = examine(
            None, {}, cwd=self.cwd, home=self.home, system_file=self.system
        )
        self.assertEqual(loaded.settings.data_dir, str(self.home / ".tbtwist"))
        self.assertFalse((self.home / ".tbtwist").exists())

    def refused(self, path: str) -> str:
        """Return the sentence with which ``path`` is refused."""
        environ = {"TB_DATA_DIR": path}
        return str(self.assertRaises(DataDirUnusable, self.load, None, environ))

    def test_a_file(self) -> None:
        """A file in its place is refused."""
        path = self.root / "file"
        path.touch()
        self.assertEqual(
            self.refused(str(path)),
            f"The data directory {path} cannot be used: it is not a directory.",
        )
        self.assertIn("not a directory", self.refused(f"{path}/below"))

    def test_open_to_everybody(self) -> None:
        """One that every user may write to is refused: secrets would not be safe."""
        path = self.root / "open"
        path.mkdir()
        path.chmod(0o777)
        self.assertIn("chmod 700", self.refused(str(path)))

    def test_not_writable(self) -> None:
        """One that we may not write to is refused (root could, so it is pretended)."""
        path = self.root / "locked"
        path.mkdir(mode=0o500)
        self.patch(os, "access", lambda *_: False)
        self.assertIn("we may not write to it", self.refused(str(path)))

    def test_not_to_be_made(self) -> None:
        """One that we may not make is refused, with the system's reason."""

        def refuse(path: object, *_: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        self.patch(os, "mkdir", refuse)
        self.assertIn("permission denied", self.refused(f"{self.root}/below"))
