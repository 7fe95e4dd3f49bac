"""How a ToolBoxV2 App is started, and what is kept in check while it is."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.logger import LogEvent, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.loading import load_application
from tbtwist.apps.registry import get_app
from tbtwist.apps.toolboxv2.application import ToolboxApp
from tbtwist.apps.toolboxv2.quiet import LogWriter, printed, quiet
from tbtwist.apps.toolboxv2.starting import start_toolbox
from tbtwist.config.schema import Settings, Toolbox
from tbtwist.errors import ModuleFailed
from tests.apps.toolbox_fakes import FakeToolbox, ManifestLoader, Mode, fake_package

SHOP = """
from toolboxv2 import get_app

print("the shop opens")
app = get_app("shop", "shop")

@app.tb("Shop", "buy", api=True)
def buy(item: str) -> str:
    return item
"""


def texts(events: Sequence[LogEvent]) -> list[str]:
    """Return what was logged for ToolBoxV2."""
    return [e["text"] for e in events if e["log_namespace"] == "toolboxv2"]


class WriterTests(SynchronousTestCase):
    """What is printed, as events."""

    def test_lines(self) -> None:
        """Lines are logged when they are complete, without colours, and not empty."""
        writer = LogWriter()
        with capturedLogs() as events:
            writer.print("\x1b[36mone\x1b[0m", "two", end=" ", flush=True)
            self.assertEqual(texts(events), [])
            writer.print("three\n\n\r\x1b[Kfour")
            writer.write("the rest")
            writer.end()
        self.assertEqual(texts(events), ["one two three", "four", "the rest"])
        self.assertTrue(writer.writable())
        self.assertEqual(writer.encoding, "utf-8")

    def test_printed(self) -> None:
        """Both streams are taken, and given back."""
        streams = sys.stdout, sys.stderr
        with capturedLogs() as events, printed():
            print("out")  # noqa: T201
            print("err", file=sys.stderr)  # noqa: T201
        self.assertEqual(texts(events), ["out", "err"])
        self.assertEqual((sys.stdout, sys.stderr), streams)

    def test_given_back_after_a_failure(self) -> None:
        """They are given back also when something goes wrong."""
        streams = sys.stdout, sys.stderr
        with self.assertRaises(ZeroDivisionError), printed():
            _ = 1 / 0
        self.assertEqual((sys.stdout, sys.stderr), streams)


class QuietTests(SynchronousTestCase):
    """The time of the start."""

    def test_signals(self) -> None:
        """A handler that it installs is gone afterwards."""
        before = signal.getsignal(signal.SIGINT)
        with quiet(ManifestLoader, offline=False):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_other_thread(self) -> None:
        """In another thread, where no handler can be set, nothing is tried."""
        raised: list[BaseException] = []

        def start() -> None:
            try:
                with quiet(ManifestLoader, offline=False):
                    pass
            except ValueError as error:
                raised.append(error)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        self.assertEqual(raised, [])

    def test_offline(self) -> None:
        """Offline, manifests ask for no server; afterwards, they say what they say."""
        load = ManifestLoader.load
        with quiet(ManifestLoader, offline=True):
            manifest = ManifestLoader().load()
        self.assertIs(manifest.database.mode, Mode.LC)
        self.assertFalse(manifest.observability.sync.enabled)
        self.assertFalse(manifest.observability.dashboard.enabled)
        self.assertIs(ManifestLoader.load, load)

    def test_online(self) -> None:
        """Who wants the server gets it."""
        with quiet(ManifestLoader, offline=False):
            self.assertIs(ManifestLoader().load().database.mode, Mode.CB)


class StartingCase(SynchronousTestCase):
    """Has a stand-in for the package in Python's table of modules."""

    def setUp(self) -> None:
        """Install it."""
        self.real = FakeToolbox()
        self.package = fake_package(self.real)
        known, path = dict(sys.modules), list(sys.path)
        sys.modules.update(self.package)

        def restore() -> None:
            for name in set(sys.modules) - set(known):
                del sys.modules[name]
            sys.modules.update(known)
            sys.path[:] = path

        self.addCleanup(restore)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cwd = Path(folder.name).resolve()
        self.environ: dict[str, str] = {}


class StartingTests(StartingCase):
    """Starting the App."""

    def start(self) -> ToolboxApp:
        """Start it."""
        return start_toolbox("tb_http-1", self.environ, self.cwd)

    def test_started(self) -> None:
        """It gets its name, and its files go to the data directory."""
        app = self.start()
        self.assertIs(app.real, self.real)
        self.assertEqual(self.real.name, "tb_http-1")
        expected = {"TB_DATA_DIR": str(self.cwd), "IS_OFFLINE_DB": "true"}
        self.assertEqual(self.environ, expected)

    def test_environment(self) -> None:
        """What the environment says stays."""
        self.environ.update(TB_DATA_DIR="/there", IS_OFFLINE_DB="false")
        self.start()
        kept = {"TB_DATA_DIR": "/there", "IS_OFFLINE_DB": "false"}
        self.assertEqual(self.environ, kept)

    def test_quiet(self) -> None:
        """What it prints, then and later, is in the log; no spinner turns."""
        printing = self.real._print
        with capturedLogs() as events:
            self.real._print = lambda *_: None
            self.start()
            self.real._print("\x1b[31mlater\x1b[0m")
        self.assertEqual(texts(events), ["a banner", "half a line", "later"])
        self.assertIsNot(self.real._print, printing)
        style: Any = self.package["toolboxv2.utils.extras.Style"]
        self.assertFalse(style.spinners.enabled)

    def failure(self) -> str:
        """Return why it does not start."""
        with self.assertRaises(ModuleFailed) as caught:
            self.start()
        return str(caught.exception)

    def test_missing(self) -> None:
        """Without the package, the message says how to get it."""
        sys.modules["toolboxv2"] = None  # type: ignore[assignment]
        self.assertIn("pip install 'tbtwist[toolboxv2]'", self.failure())

    def test_incomplete(self) -> None:
        """A package that something is missing for is not said to be missing."""
        place = self.cwd / "toolboxv2.py"
        place.write_text("import not_installed_anywhere\n")
        del sys.modules["toolboxv2"]
        sys.path.insert(0, str(self.cwd))
        self.assertIn("not_installed_anywhere", self.failure())

    def test_exits(self) -> None:
        """A package that ends the process instead of starting is a failure."""
        place = self.cwd / "toolboxv2.py"
        place.write_text("raise SystemExit('no')\n")
        del sys.modules["toolboxv2"]
        sys.path.insert(0, str(self.cwd))
        self.assertIn("SystemExit: no", self.failure())

    def test_does_not_start(self) -> None:
        """An App that cannot be made is a failure, too."""

        def get_app(from_: str, name: str) -> None:
            raise PermissionError(13, "Permission denied", ".info")

        package: Any = self.package["toolboxv2"]
        package.get_app = get_app
        self.assertIn("PermissionError", self.failure())


class LoadTests(StartingCase):
    """``toolbox.app`` decides what application there is."""

    def load(self, app: str, *modules: str) -> Any:
        """Load an application."""
        toolbox = Toolbox(app=app, modules=modules, instance_id="tb")
        settings = Settings(data_dir=str(self.cwd), toolbox=toolbox)
        return load_application(settings, "http-1", self.environ, cwd=self.cwd)

    def write(self, name: str, text: str) -> None:
        """Write a module."""
        (self.cwd / f"{name}.py").write_text(text)

    def test_ours(self) -> None:
        """By default it is this process's own."""
        app = self.load("tbtwist")
        self.assertIs(app, get_app())
        self.assertEqual(app.name, "http-1")
        self.assertEqual(self.environ, {})

    def test_toolboxv2(self) -> None:
        """A real App is started, and its modules are imported quietly."""
        self.write("tbt_real_shop", SHOP)
        with capturedLogs() as events:
            app = self.load("toolboxv2", "tbt_real_shop")
        self.assertEqual(self.real.name, "shop")
        self.assertIsNotNone(app.find("Shop", "buy"))
        self.assertIn("the shop opens", texts(events))

    def test_name(self) -> None:
        """A real App is called what ToolBoxV2's own worker would call it."""
        self.load("toolboxv2")
        self.assertEqual(self.real.name, "tb_http-1")

    def test_factory(self) -> None:
        """A function can make the application; modules register with that."""
        self.write(
            "tbt_factory",
            "from tbtwist import App\nmade = App()\ndef make():\n    return made\n",
        )
        self.write(
            "tbt_module",
            "from tbtwist import export\n@export(mod_name='M')\ndef f(): ...\n",
        )
        app = self.load("tbt_factory:make", "tbt_module")
        self.assertIs(app, sys.modules["tbt_factory"].made)
        self.assertIsNotNone(app.find("M", "f"))
        self.assertIsNone(get_app().find("M", "f"))

    def test_bad_factories(self) -> None:
        """A factory that is missing, fails or makes something else is refused."""
        self.write(
            "tbt_bad",
            "def no():\n    return 7\ndef fails():\n    raise ValueError('broken')\n",
        )
        for place, why in (
            ("tbt_bad:no", "it returned 7, which is no application"),
            ("tbt_bad:fails", "ValueError: broken"),
            ("tbt_bad:missing", "missing"),
            ("tbt_bad", "tbt_bad"),
            ("tbt_nowhere:make", "there is no such module"),
        ):
            with self.assertRaises(ModuleFailed) as caught:
                self.load(place)
            self.assertIn(why, str(caught.exception))
