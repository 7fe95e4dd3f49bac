"""Importing an application's modules."""

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.loading import load_callables, load_modules
from tbtwist.apps.registry import App
from tbtwist.errors import ModuleFailed


class FolderCase(SynchronousTestCase):
    """Has a folder with modules."""

    def setUp(self) -> None:
        """A folder, and Python's import system as it was afterwards."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cwd = Path(folder.name).resolve()
        path, modules = list(sys.path), set(sys.modules)
        self.addCleanup(lambda: sys.path.__setitem__(slice(None), path))
        self.addCleanup(
            lambda: [sys.modules.pop(m) for m in set(sys.modules) - modules]
        )
        self.app = App()

    def write(self, name: str, source: str) -> None:
        """Write a file of the application."""
        path = self.cwd / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip("\n"))


class LoadingTests(FolderCase):
    """Modules in a folder."""

    def load(self, *names: str) -> None:
        """Load modules."""
        load_modules(names, self.app, cwd=self.cwd)

    def failure(self, name: str) -> ModuleFailed:
        """Return why a module cannot be loaded."""
        with self.assertRaises(ModuleFailed) as caught:
            self.load(name)
        failure: ModuleFailed = caught.exception
        self.assertEqual(failure.module, name)
        return failure

    def test_registers(self) -> None:
        """What modules export belongs to the application that loads them."""
        self.write(
            "tbt_shop.py",
            """
            from tbtwist import export, get_app

            @export(mod_name="Shop")
            def buy():
                return 1

            tb = get_app("Shop.Export").tb

            @tb(mod_name="Shop")
            def sell():
                return 2
            """,
        )
        self.load("tbt_shop")
        self.assertEqual(set(self.app.functions["Shop"]), {"buy", "sell"})

    def test_path(self) -> None:
        """The folder is put on the path, once."""
        self.load()
        self.load()
        self.assertEqual(sys.path.count(str(self.cwd)), 1)

    def test_package(self) -> None:
        """Modules inside of packages have dotted names."""
        self.write("tbt_pack/__init__.py", "")
        self.write("tbt_pack/inner.py", "VALUE = 1")
        self.load("tbt_pack.inner")
        self.assertEqual(sys.modules["tbt_pack.inner"].VALUE, 1)

    def test_missing(self) -> None:
        """A module that does not exist is said to be missing, and where."""
        failure = self.failure("tbt_nowhere")
        self.assertEqual(failure.where, str(self.cwd))
        self.assertIn("no such module", failure.reason)
        self.write("tbt_pack/__init__.py", "")
        self.assertIn("no such module", self.failure("tbt_pack.nowhere").reason)
        self.assertIn("no such module", self.failure("tbt_none.inner").reason)

    def test_exception(self) -> None:
        """An exception is told with its place in the module and its reason."""
        self.write("tbt_bad.py", "def f():\n    raise ValueError('no.')\n\nf()\n")
        failure = self.failure("tbt_bad")
        self.assertEqual(failure.where, "tbt_bad.py:2")
        self.assertEqual(failure.reason, "ValueError: no")
        self.assertEqual(
            str(failure),
            "The application module tbt_bad cannot be loaded: "
            "tbt_bad.py:2: ValueError: no.",
        )

    def test_exception_elsewhere(self) -> None:
        """The place is in the module's own file, also if others raise."""
        self.write("tbt_json.py", "import json\n\nX = json.loads('{')\n")
        failure = self.failure("tbt_json")
        self.assertEqual(failure.where, "tbt_json.py:3")
        self.assertTrue(failure.reason.startswith("JSONDecodeError: "))

    def test_missing_import(self) -> None:
        """A module that imports what is not installed is not itself missing."""
        self.write("tbt_needs.py", "import os\nimport tbt_not_installed\n")
        failure = self.failure("tbt_needs")
        self.assertEqual(failure.where, "tbt_needs.py:2")
        self.assertEqual(
            failure.reason, "ModuleNotFoundError: No module named 'tbt_not_installed'"
        )

    def test_syntax(self) -> None:
        """A syntax error is told with its line."""
        self.write("tbt_syntax.py", "x = 1\ndef f(:\n    pass\n")
        failure = self.failure("tbt_syntax")
        self.assertEqual(failure.where, "tbt_syntax.py:2")
        self.assertEqual(failure.reason, "SyntaxError: invalid syntax")

    def test_exit(self) -> None:
        """A module that asks the process to exit has failed."""
        self.write("tbt_exit.py", "import sys\nsys.exit('bye')\n")
        failure = self.failure("tbt_exit")
        self.assertEqual(failure.where, "tbt_exit.py:2")
        self.assertEqual(failure.reason, "SystemExit: bye")

    def test_exception_without_text(self) -> None:
        """An exception without a text is told by its name."""
        self.write("tbt_mute.py", "raise RuntimeError\n")
        self.assertEqual(self.failure("tbt_mute").reason, "RuntimeError")

    def test_wrong_decorator(self) -> None:
        """A slip in a decorator is told with its place in the module."""
        self.write(
            "tbt_slip.py",
            """
            from tbtwist import export

            @export(lvl=1)
            def f(): pass
            """,
        )
        failure = self.failure("tbt_slip")
        self.assertEqual(failure.where, "tbt_slip.py:3")
        self.assertEqual(failure.reason, "TypeError: export() has no option 'lvl'")

    def test_helper_fails(self) -> None:
        """If a module's helper fails, the place is where the module imports it."""
        self.write("tbt_helper.py", "raise ValueError('helper')\n")
        self.write("tbt_user.py", "import os\nimport tbt_helper\n")
        self.assertEqual(self.failure("tbt_user").where, "tbt_user.py:2")

    def test_package_fails(self) -> None:
        """If only the package around a module fails, that is the place."""
        self.write("tbt_outer/__init__.py", "raise ValueError('outer')\n")
        self.write("tbt_outer/inner.py", "")
        failure = self.failure("tbt_outer.inner")
        self.assertEqual(failure.where, "tbt_outer/__init__.py:1")

    def test_later_ones(self) -> None:
        """The first failure ends the loading."""
        self.write("tbt_a.py", "raise ValueError('a')")
        self.write("tbt_b.py", "")
        with self.assertRaises(ModuleFailed):
            self.load("tbt_a", "tbt_b")
        self.assertNotIn("tbt_b", sys.modules)


class LightnessTests(SynchronousTestCase):
    """What importing an application drags in."""

    def test_no_reactor(self) -> None:
        """Applications can be imported without a reactor, ZeroMQ or Autobahn."""
        code = """
            import sys
            from tbtwist import App, RequestData, Result, export, get_app
            from tbtwist import deferred_to_future
            import tbtwist.apps.loading, tbtwist.apps.sockets, tbtwist.apps.pool
            heavy = {"twisted.internet.reactor", "zmq", "txzmq", "autobahn"}
            print(sorted(heavy & set(sys.modules)))
        """
        seen = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(seen.stdout.strip(), "[]")


class CallableTests(FolderCase):
    """WSGI applications by their names."""

    def callables(self, place: str) -> object:
        """Return what is at ``place``."""
        return load_callables({"/x": place}, cwd=self.cwd)["/x"]

    def test_found(self) -> None:
        """They are found by module and name; the name is application by default."""
        self.write("tbt_wsgi.py", "def application(): ...\ndef other(): ...\n")
        module = "tbt_wsgi"
        for place, name in ((module, "application"), (f"{module}:other", "other")):
            found = self.callables(place)
            self.assertIs(found, getattr(sys.modules[module], name))

    def test_not_found(self) -> None:
        """What is missing or cannot be called is refused."""
        self.write("tbt_wsgi.py", "application = 7\n")
        for place, why in (
            ("tbt_wsgi", "'application' is not there, or cannot be called"),
            ("tbt_wsgi:made", "'made' is not there"),
            ("tbt_nothing:app", "there is no such module"),
        ):
            with self.assertRaises(ModuleFailed) as caught:
                self.callables(place)
            self.assertIn(why, str(caught.exception))
