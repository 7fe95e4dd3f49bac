"""The examples, as a reader would start them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tbtwist import App, RequestData, Result
from tbtwist.apps.loading import load_modules
from tbtwist.config.loading import load
from tbtwist.errors import BadArgument

PROJECT = Path(__file__).parent.parent.parent


class ExamplesTestCase(SynchronousTestCase):
    """An example, loaded from its configuration into an application of its own."""

    def load(self, name: str, **environ: str) -> App:
        """Load ``examples/NAME/config.yaml`` and the modules that it names."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        config = PROJECT / "examples" / name / "config.yaml"
        given = {"TB_DATA_DIR": str(home / "data")}
        loaded = load(str(config), given, cwd=PROJECT, home=home)
        self.assertEqual((), loaded.warnings)
        self.data_dir = Path(loaded.settings.data_dir)
        app = App(name)
        for module in loaded.settings.toolbox.modules:
            self.addCleanup(sys.modules.pop, module, None)
            sys.modules.pop(module, None)
        self.patch(sys, "path", list(sys.path))
        load_modules(loaded.settings.toolbox.modules, app, cwd=PROJECT)
        return app

    def call(self, app: App, module: str, function: str, /, **kwargs: object) -> Result:
        """Call a function as the HTTP side does."""
        found = app.find(module, function)
        assert found is not None, function
        work: Deferred[Result] = Deferred.fromCoroutine(app.call(found, kwargs))
        return self.successResultOf(work)


class HelloTests(ExamplesTestCase):
    """``examples/hello``."""

    def test_add(self) -> None:
        """What comes as text from a query is added as numbers, or refused by name."""
        app = self.load("hello")
        self.assertEqual(42, self.call(app, "Hello", "add", a="2", b="40").get())
        add = app.find("Hello", "add")
        assert add is not None
        work = Deferred.fromCoroutine(app.call(add, {"a": "two", "b": "40"}))
        failure = self.failureResultOf(work, BadArgument)
        self.assertIn("a:", failure.getErrorMessage())

    def test_count(self) -> None:
        """The function that blocks works too; nothing to count is 422."""
        count: Any = self.load("hello").functions["Hello"]["count"].func
        self.assertEqual(2, count("two words").get()["words"])
        self.assertEqual(422, count("").info.exec_code)

    def test_login(self) -> None:
        """Whoever logged in is greeted by name; the secret is not for all."""
        app = self.load("hello")
        request = RequestData()
        self.call(app, "Hello", "login", name="Ada", request=request)
        secret = self.call(app, "Hello", "secret", request=request)
        self.assertEqual({"for": "Ada"}, secret.get())
        levels = {name: f.level for name, f in app.functions["Hello"].items()}
        self.assertIsNone(levels.pop("secret"))
        self.assertEqual({0}, set(levels.values()))


class CounterTests(ExamplesTestCase):
    """``examples/counter``."""

    def test_counts(self) -> None:
        """Every press is counted once, whichever worker it comes to."""
        app = self.load("counter")
        module: Any = sys.modules["examples.counter.counter"]
        self.patch(module, "FILE", self.data_dir / "counter.db")
        self.assertEqual([0, 1, 3, 3], [module.presses(n) for n in (0, 1, 2, 0)])
        handlers = app.websocket_handlers["Counter/presses"]
        assert handlers.on_connect is not None
        assert handlers.on_message is not None
        welcome = handlers.on_connect.func()
        self.assertEqual({"event": "presses", "data": 3}, welcome)
        self.assertIsNone(handlers.on_message.func({"type": "press"}))
        self.assertEqual(4, module.presses())
        self.assertEqual("error", handlers.on_message.func("press")["type"])

    def test_page(self) -> None:
        """The page is where the configuration says, and asks for the right channel."""
        static = PROJECT / "examples" / "counter" / "static"
        self.assertIn("counter.js", (static / "index.html").read_text())
        self.assertIn("/ws/Counter/presses", (static / "counter.js").read_text())


class WorkersTests(ExamplesTestCase):
    """``examples/workers``."""

    def test_facts(self) -> None:
        """What a worker has heard it can tell; the rest it says it does not know."""
        app = self.load("workers")
        self.assertEqual(
            404, self.call(app, "Workers", "recall", key="tea").info.exec_code
        )
        module: Any = sys.modules["examples.workers.workers"]
        fact = {"key": "tea", "value": "green"}
        self.successResultOf(Deferred.fromCoroutine(module.remembered(fact)))
        answer = self.call(app, "Workers", "recall", key="tea").get()
        self.assertEqual("green", answer["tea"])

    def test_introduction(self) -> None:
        """A worker that is asked answers with its pid."""
        self.load("workers")
        module: Any = sys.modules["examples.workers.workers"]
        answer = self.successResultOf(Deferred.fromCoroutine(module.introduce("hello")))
        self.assertEqual("hello yourself", answer["answer"])
