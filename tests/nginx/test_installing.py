"""Sites are put in place, or everything is as it was."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import CannotInstall, NginxRefuses
from tbtwist.nginx.installing import Place, install, usual_place


class InstallTestCase(SynchronousTestCase):
    """A folder like Debian's ``/etc/nginx``."""

    def setUp(self) -> None:
        """Make it."""
        self.etc = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.etc)
        for name in ("sites-available", "sites-enabled"):
            (self.etc / name).mkdir()
        self.place = usual_place(self.etc)
        self.path = self.etc / "sites-available" / "tbtwist"
        self.link = self.etc / "sites-enabled" / "tbtwist"
        self.seen: list[str] = []

    def accept(self) -> frozenset[str]:
        """Look at what is enabled, as nginx does, and find it fine."""
        enabled = sorted((self.etc / "sites-enabled").glob("[!.]*"))
        self.seen += [path.read_text() for path in enabled]
        return frozenset(map(str, enabled))

    def refuse(self) -> frozenset[str]:
        """Look, and find it wrong."""
        self.accept()
        raise NginxRefuses("no")

    def everything(self) -> dict[str, str]:
        """Return every file and link, hidden ones too."""
        paths = (path for path in self.etc.rglob("*") if not path.is_dir())
        return {str(path.relative_to(self.etc)): path.read_text() for path in paths}


class InstallTests(InstallTestCase):
    """`install`."""

    def test_new(self) -> None:
        """A site is written, enabled and then checked; nothing else is left."""
        self.assertTrue(install("new", self.place, self.accept))
        self.assertEqual(["new"], self.seen)
        self.assertEqual(self.path.resolve(), self.link.resolve())
        names = ("sites-available/tbtwist", "sites-enabled/tbtwist")
        self.assertEqual(dict.fromkeys(names, "new"), self.everything())
        self.assertEqual(0o644, self.path.stat().st_mode & 0o755)

    def test_replaces(self) -> None:
        """An old site, and a link to elsewhere, are replaced."""
        self.path.write_text("old")
        self.link.symlink_to("/elsewhere")
        install("new", self.place, self.accept)
        self.assertEqual(["new"], self.seen)

    def test_refused(self) -> None:
        """A site that nginx refuses is taken back: nothing is left of it."""
        self.assertRaises(NginxRefuses, install, "new", self.place, self.refuse)
        self.assertEqual(["new"], self.seen)
        self.assertEqual({}, self.everything())

    def test_refused_over_an_old_one(self) -> None:
        """The old site comes back, the same file and the same link."""
        self.path.write_text("old")
        self.path.chmod(0o640)
        self.link.symlink_to(self.path)
        before = self.path.stat().st_ino, self.everything()
        self.assertRaises(NginxRefuses, install, "new", self.place, self.refuse)
        self.assertEqual(before, (self.path.stat().st_ino, self.everything()))

    def test_old_link_comes_back(self) -> None:
        """A link that pointed elsewhere does so again."""
        self.link.symlink_to("/elsewhere")
        self.assertRaises(NginxRefuses, install, "new", self.place, self.refuse)
        self.assertEqual(Path("/elsewhere"), self.link.readlink())

    def test_through_a_link(self) -> None:
        """A path that is a link stays one; what it points to is written."""
        self.path.write_text("old")
        self.link.symlink_to(self.path)
        self.assertTrue(install("new", Place(self.link), self.accept))
        self.assertTrue(self.link.is_symlink())
        self.assertEqual("new", self.path.read_text())

    def test_not_included(self) -> None:
        """Whether nginx looks there at all is told."""
        elsewhere = Place(self.etc / "site.conf")
        self.assertFalse(install("new", elsewhere, self.accept))

    def test_impossible(self) -> None:
        """A folder that is not there, and a file in the link's place, are told."""
        place = Place(self.etc / "no" / "site.conf")
        error = self.assertRaises(CannotInstall, install, "x", place, self.accept)
        self.assertIn("no such file or directory", str(error))
        self.link.write_text("somebody's")
        error = self.assertRaises(CannotInstall, install, "x", self.place, self.accept)
        self.assertIn("it is there already, and no link", str(error))
        self.assertEqual({"sites-enabled/tbtwist": "somebody's"}, self.everything())

    def test_other_systems(self) -> None:
        """Where there are no sites-available, it is conf.d."""
        place = usual_place(self.etc / "sites-enabled")
        self.assertEqual("tbtwist.conf", place.path.name)
        self.assertIsNone(place.link)
