"""Registering functions and handlers, and the one application of a process."""

import threading
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import tbtwist
from tbtwist import App, export, get_app
from tbtwist.apps.functions import ExportOptions
from tbtwist.apps.registry import as_default
from tbtwist.errors import DefinedTwice


def from_file(name: str, source: str) -> Any:
    """Return the function ``f`` of a file that need not exist."""
    scope: dict[str, Any] = {"__name__": name.removesuffix(".py")}
    exec(compile(source, name, "exec"), scope)  # noqa: S102 - two "files" for one name
    return scope["f"]


def no_handlers() -> dict[str, Any]:
    """Make an empty table."""
    return {}


class ExportTests(SynchronousTestCase):
    """The decorator."""

    def setUp(self) -> None:
        """An application."""
        self.app = App()

    def test_registers(self) -> None:
        """A decorated function is found by its names, and is itself."""

        @self.app.tb(mod_name="Shop", name="buy", level=2)
        def anything() -> int:
            return 5

        found = self.app.find("Shop", "buy")
        assert found is not None
        self.assertIs(found.func, anything)
        self.assertEqual(anything(), 5)
        self.assertEqual(found.level, 2)
        self.assertIs(self.app.functions["Shop"]["buy"], found)

    def test_default_names(self) -> None:
        """Without names, the function's own and its file's count."""

        @self.app.tb()
        def hello() -> None:
            """Do nothing."""

        self.assertIsNotNone(self.app.find("test_registry", "hello"))

    def test_positional_name(self) -> None:
        """The name may come first, as in ToolBoxV2."""
        self.app.tb("buy", "Shop")(lambda: None)
        self.assertIsNotNone(self.app.find("Shop", "buy"))

    def test_unknown(self) -> None:
        """What was not registered is not found, in any spelling."""
        self.app.tb("buy", "Shop")(lambda: None)
        for module, name in (("Shop", "sell"), ("Nope", "buy"), ("shop", "buy")):
            self.assertIsNone(self.app.find(module, name))

    def test_wrong_option(self) -> None:
        """A slip in the decorator is told where it is made."""
        wrong: Any = {"lvl": 1}
        with self.assertRaises(TypeError):
            self.app.tb(**wrong)
        bare: Any = lambda: None  # noqa: E731 - a function, as @export would get it
        with self.assertRaises(TypeError):
            self.app.tb(bare)

    def test_twice(self) -> None:
        """One name in two files is an error that names both places."""
        source = "\n\ndef f(): pass"
        self.app.tb("buy", "Shop")(from_file("a.py", source))
        with self.assertRaises(DefinedTwice) as caught:
            self.app.tb("buy", "Shop")(from_file("b.py", source))
        self.assertEqual(
            str(caught.exception),
            "Shop/buy is defined twice: in a.py:3 and in b.py:3.",
        )

    def test_objects(self) -> None:
        """An object that can be called is known by its module."""

        class Buy:
            def __call__(self) -> None:
                """Do nothing."""

        self.app.tb("buy", "Shop")(Buy())
        self.app.tb("buy", "Shop")(Buy())
        with self.assertRaises(DefinedTwice) as caught:
            self.app.tb("buy", "Shop")(from_file("b.py", "def f(): pass"))
        self.assertEqual(caught.exception.first, __name__)

    def test_reload(self) -> None:
        """The same file again replaces what it registered before."""
        self.app.tb("buy", "Shop")(from_file("a.py", "def f(): return 1"))
        self.app.tb("buy", "Shop")(from_file("a.py", "\ndef f(): return 2"))
        found = self.app.find("Shop", "buy")
        assert found is not None
        self.assertEqual(found.func(), 2)


class HandlerTests(SynchronousTestCase):
    """WebSocket handlers."""

    def setUp(self) -> None:
        """An application."""
        self.app = App()

    def test_registers(self) -> None:
        """The maker is called at once, with the app, and its handlers are found."""
        seen: list[object] = []

        @self.app.tb(mod_name="Chat", websocket_handler="room", level=0)
        def make(app: App) -> dict[str, Any]:
            seen.append(app)
            return {"on_message": lambda payload: payload}

        self.assertEqual(seen, [self.app])
        handlers = self.app.websocket_handlers["Chat/room"]
        self.assertEqual(handlers.target.level, 0)
        self.assertIsNotNone(handlers.on_message)
        self.assertIsNone(self.app.find("Chat", "room"))
        self.assertIs(handlers.func, make)

    def test_without_app(self) -> None:
        """A maker need not take the app."""
        self.app.tb(mod_name="Chat", websocket_handler="room")(no_handlers)
        self.assertIn("Chat/room", self.app.websocket_handlers)

    def test_app_not_first(self) -> None:
        """A maker gets the app under that name wherever it stands."""

        def make(extra: int = 1, *, app: object) -> dict[str, Any]:
            self.assertEqual((extra, app), (1, self.app))
            return {}

        self.app.tb(mod_name="Chat", websocket_handler="room")(make)

    def test_maker_that_wants_more(self) -> None:
        """A maker with another parameter is told what it may have."""
        with self.assertRaises(TypeError) as caught:
            self.app.tb(mod_name="Chat", websocket_handler="room")(
                lambda application: {"on_connect": application}
            )
        said = str(caught.exception)
        self.assertIn("Chat/room makes WebSocket handlers", said)
        self.assertIn("called app; it has 'application'", said)

    def test_no_table(self) -> None:
        """A maker that returns something else is told what it should return."""
        with self.assertRaises(TypeError) as caught:
            self.app.tb(mod_name="Chat", websocket_handler="room")(lambda: 5)
        self.assertIn("Chat/room returned no handlers but 5", str(caught.exception))

    def test_twice(self) -> None:
        """One route in two files is an error that names both places."""
        source = "def f(): return {}"
        options: ExportOptions = {"websocket_handler": "room"}
        self.app.tb(None, "Chat", **options)(from_file("a.py", source))
        self.app.tb(None, "Chat", **options)(from_file("a.py", source))
        with self.assertRaises(DefinedTwice) as caught:
            self.app.tb(None, "Chat", **options)(from_file("b.py", source))
        self.assertIn("the WebSocket Chat/room", str(caught.exception))


class DefaultAppTests(SynchronousTestCase):
    """The application of the process."""

    def test_one(self) -> None:
        """Everybody gets the same, whatever they call it."""
        self.assertIs(get_app(), get_app("HTTPWorker", name="x", args=1))

    def test_one_among_threads(self) -> None:
        """Also when many ask at once."""
        found: list[App] = []
        threads = [
            threading.Thread(target=lambda: found.append(get_app())) for _ in "abcd"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(found), {get_app()})

    def test_export(self) -> None:
        """Export registers with the application of the process."""
        app = App()
        with as_default(app):
            self.assertIs(get_app(), app)
            export(mod_name="Shop", name="buy")(lambda: None)
        self.assertIsNotNone(app.find("Shop", "buy"))
        self.assertIsNot(get_app(), app)

    def test_public_names(self) -> None:
        """Everything that the package promises can be had from it."""
        for name in tbtwist.__all__:
            self.assertIsNotNone(getattr(tbtwist, name))
        with self.assertRaises(AttributeError):
            tbtwist.nope  # noqa: B018 - that is the test
