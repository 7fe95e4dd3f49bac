"""What a decorator says about a function."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.functions import (
    ExportOptions,
    Function,
    SocketHandlers,
    check_options,
)
from tbtwist.auth.access import Target


def function(options: ExportOptions | None = None) -> Function:
    """Return a function with options."""
    return Function.of("Shop", "buy", lambda **_: None, options)


class OptionTests(SynchronousTestCase):
    """The options of export."""

    def test_defaults(self) -> None:
        """A function is exposed, at the configured level, for every method."""
        made = function()
        self.assertEqual(
            (made.api, made.level, made.api_methods, made.row, made.runtime),
            (True, None, None, False, None),
        )
        self.assertEqual(made.target, Target("Shop", "buy", takes_request=True))

    def test_access(self) -> None:
        """What the decorator says about access is what the rules see."""
        made = function({"api": False, "level": 2, "api_methods": ["post", "PUT"]})
        self.assertEqual(
            made.target,
            Target("Shop", "buy", False, 2, frozenset({"POST", "PUT"}), True),
        )

    def test_level_not_set(self) -> None:
        """ToolBoxV2's default level of -1 means that none was set."""
        self.assertIsNone(function({"level": -1}).level)
        self.assertEqual(function({"level": 0}).level, 0)

    def test_auto_methods(self) -> None:
        """ToolBoxV2's AUTO, and an empty list, mean every method."""
        self.assertIsNone(function({"api_methods": ["AUTO"]}).api_methods)
        self.assertIsNone(function({"api_methods": []}).api_methods)

    def test_one_method(self) -> None:
        """A single method may be given as text."""
        self.assertEqual(
            function({"api_methods": "get"}).api_methods, frozenset({"GET"})
        )

    def test_internal_functions(self) -> None:
        """Start, exit and test functions are not exposed unless they ask for it."""
        options: tuple[ExportOptions, ...] = (
            {"initial": True},
            {"exit_f": True},
            {"test_only": True},
        )
        for given in options:
            self.assertFalse(function(given).api)
            self.assertTrue(function({**given, "api": True}).api)

    def test_runtime(self) -> None:
        """Only runtimes that exist can be chosen."""
        self.assertEqual(function({"runtime": "twisted"}).runtime, "twisted")
        unknown: Any = {"runtime": "trio"}
        with self.assertRaises(TypeError) as caught:
            function(unknown)
        self.assertIn("trio", str(caught.exception))

    def test_names(self) -> None:
        """Every option of ToolBoxV2 is accepted, and a slip of the pen is not."""
        toolboxv2 = (
            "helper version test restrict_in_virtual_mode api initial exit_f test_only "
            "memory_cache file_cache request_as_kwarg row state level "
            "memory_cache_max_size memory_cache_ttl samples interface pre_compute "
            "post_compute api_methods websocket_handler websocket_context"
        )
        check_options("name", dict.fromkeys(toolboxv2.split()))
        with self.assertRaises(TypeError) as caught:
            check_options(None, {"lvl": 1})
        self.assertIn("'lvl'", str(caught.exception))

    def test_forgotten_parentheses(self) -> None:
        """@export without parentheses is told apart from a name."""
        with self.assertRaises(TypeError) as caught:
            check_options(lambda: None, {})
        self.assertIn("parentheses", str(caught.exception))

    def test_wants_request(self) -> None:
        """A request is made only for who can take it."""

        def named(request: object) -> None:
            """Take it."""

        def anything(**_: object) -> None:
            """Take everything."""

        def nothing() -> None:
            """Take nothing."""

        asked: ExportOptions = {"request_as_kwarg": True}
        self.assertTrue(Function.of("M", "f", named).wants_request)
        self.assertFalse(Function.of("M", "f", anything).wants_request)
        self.assertTrue(Function.of("M", "f", anything, asked).wants_request)
        self.assertFalse(Function.of("M", "f", nothing, asked).wants_request)


class HandlerTests(SynchronousTestCase):
    """The table that a WebSocket's maker returns."""

    def handlers(
        self, table: dict[str, Any], level: int | None = None
    ) -> SocketHandlers:
        """Return the handlers of a table."""
        target = Target("Chat", "room", level=level)
        return SocketHandlers.of(target, lambda: None, table)

    def test_all(self) -> None:
        """All three handlers are found, and the route is their name."""

        def on_event(app: object, session: dict[str, Any], **_: object) -> None:
            """Take everything."""

        made = self.handlers(
            dict.fromkeys(("on_connect", "on_message", "on_disconnect"), on_event)
        )
        self.assertEqual(made.id, "Chat/room")
        self.assertTrue(made.on_connect and made.on_message and made.on_disconnect)

    def test_some(self) -> None:
        """None of the three is a must."""
        made = self.handlers(
            {"on_message": lambda payload: payload, "on_connect": None}
        )
        self.assertIsNone(made.on_connect)
        self.assertIsNotNone(made.on_message)

    def test_slip_of_the_pen(self) -> None:
        """A misspelt event is refused when it is registered."""
        with self.assertRaises(TypeError) as caught:
            self.handlers({"on_mesage": lambda: None})
        self.assertIn("on_mesage", str(caught.exception))

    def test_impossible_handler(self) -> None:
        """So is a handler that wants what nobody can give it."""

        def impossible(socket: object) -> None:
            """Want too much."""

        def possible(conn_id: str, extra: int = 1) -> None:
            """Want what there is."""

        with self.assertRaises(TypeError) as caught:
            self.handlers({"on_connect": impossible})
        self.assertIn("'socket'", str(caught.exception))
        self.assertIsNotNone(self.handlers({"on_connect": possible}).on_connect)

    def test_auth(self) -> None:
        """A table that asks for authentication needs a user, unless a level is set."""
        self.assertEqual(self.handlers({"auth": True}).target.level, 1)
        self.assertIsNone(self.handlers({"auth": False}).target.level)
        self.assertEqual(self.handlers({"auth": True}, level=2).target.level, 2)
