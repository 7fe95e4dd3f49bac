"""A ToolBoxV2 App as an application of ours, with a small stand-in for it."""

from __future__ import annotations

import asyncio
import threading
from enum import Enum
from functools import partial
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.application import Application
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.request import AppSession, RequestData, RequestInfo
from tbtwist.apps.result import Result
from tbtwist.apps.runner import LoopRunner
from tbtwist.apps.toolboxv2.application import ToolboxApp
from tbtwist.apps.toolboxv2.values import Values
from tbtwist.errors import MissingArgument, PoolFull
from tests.apps import toolbox_fakes as theirs
from tests.apps.fakes import CONN, FakePort, direct, run

VALUES = Values(
    (theirs.Result, theirs.ApiResult),
    theirs.RequestData,
    {
        theirs.SSEGenerator.create_sse_stream.__code__: "source",
        theirs.SSEGenerator.wrap_sync_generator.__code__: "generator",
    },
)


def ours(value: object) -> Result:
    """Return a result of theirs as ours."""
    made = VALUES.ours(value)
    assert isinstance(made, Result)
    return made


class ResultTests(SynchronousTestCase):
    """What their functions return."""

    def test_success(self) -> None:
        """Data, its kind and the words around it arrive."""
        part = theirs.Part(theirs.Interface.remote, "info", {"a": 1}, "dict")
        made = ours(theirs.Result(part, origin=("Shop", "buy", "tb")))
        self.assertEqual(
            made.as_dict(),
            {
                "error": "none",
                "result": {
                    "data_to": "REMOTE",
                    "data_info": "info",
                    "data": {"a": 1},
                    "data_type": "dict",
                },
                "info": {"exec_code": 0, "help_text": "OK"},
                "origin": ["Shop", "buy", "tb"],
            },
        )
        self.assertFalse(made.is_error())

    def test_failure(self) -> None:
        """A failure is one, with its code and text."""
        made = ours(theirs.Result.failed(404, "gone"))
        self.assertTrue(made.is_error())
        self.assertEqual((made.info.exec_code, made.info.help_text), (404, "gone"))
        self.assertEqual(made.outcome, "InputError")

    def test_empty(self) -> None:
        """Parts that are not there are empty ones."""
        made = ours(theirs.ApiResult(None, None, None, None))
        self.assertEqual(made, Result())

    def test_origins(self) -> None:
        """An origin may be a list, a dotted name, or nonsense."""
        for origin, expected in (
            (["A", "b"], ["A", "b"]),
            ("A.b", ["A.b"]),
            (7, None),
            ((), None),
        ):
            self.assertEqual(ours(theirs.Result(origin=origin)).origin, expected)

    def test_nested(self) -> None:
        """A result inside of a result is converted as well."""
        made = ours(theirs.Result.ok(theirs.Result.failed(404, "gone")))
        self.assertTrue(made.is_error())

    def test_later(self) -> None:
        """What is still to come is converted when it has come."""

        async def later() -> theirs.Result:
            return theirs.Result.ok(3)

        waiting: Any = VALUES.ours(later())
        self.assertEqual(run(waiting).get(), 3)

    def test_others(self) -> None:
        """Anything else stays what it is, except for functions with row=True."""
        self.assertEqual(VALUES.ours({"a": 1}), {"a": 1})
        bare = VALUES.bare({"a": 1})
        assert isinstance(bare, Result)
        self.assertEqual((bare.get(), bare.raw), ({"a": 1}, False))
        self.assertIsInstance(VALUES.bare(theirs.Result.ok(1)), Result)

    def test_stream(self) -> None:
        """The application's own generator is found inside of their wrapper."""

        def cleanup() -> None:
            pass

        source = iter([1, 2])
        data = ours(theirs.Result.sse(source, cleanup)).get()
        self.assertIs(data["generator"], source)
        self.assertIs(data["cleanup_func"], cleanup)
        self.assertNotIn("encoded", data)

    def test_unknown_stream(self) -> None:
        """Where it is not found, what they make is sent as it is."""

        async def made() -> Any:
            yield "data: 1\n\n"

        stream = made()
        for generator in (stream, iter(["x"])):
            part = theirs.Part(data={"generator": generator}, data_type="stream")
            data = ours(theirs.Result(part)).get()
            self.assertIs(data["generator"], generator)
            self.assertTrue(data["encoded"])
        run(stream.aclose())

    def test_stream_of_nonsense(self) -> None:
        """Data that says it is a stream and is none stays what it is."""
        part = theirs.Part(data=7, data_type="stream")
        self.assertEqual(ours(theirs.Result(part)).get(), 7)


class ToolboxCase(SynchronousTestCase):
    """Has an App of theirs, and it as ours."""

    def setUp(self) -> None:
        """Make both."""
        self.real = theirs.FakeToolbox()
        self.app = ToolboxApp(self.real, VALUES)
        self.addCleanup(self.app.pool.stop, lambda: None)

    def call(self, module: str, name: str, **kwargs: object) -> Result:
        """Call a function as the HTTP core does."""
        function = self.app.find(module, name)
        assert function is not None
        return run(self.app.call(function, kwargs))


class FunctionTests(ToolboxCase):
    """Functions that their decorator has registered."""

    def test_protocol(self) -> None:
        """It is what the rest of the house takes for an application."""
        self.assertIsInstance(self.app, Application)

    def test_described(self) -> None:
        """What their decorator says is what ours would have said."""

        @self.real.tb("Shop", "buy", api=True, level=2, api_methods=["post"])
        def buy() -> None: ...

        @self.real.tb("Shop", "inner", request_as_kwarg=True)
        def inner() -> None: ...

        found, hidden = self.app.find("Shop", "buy"), self.app.find("Shop", "inner")
        assert found is not None
        assert hidden is not None
        self.assertEqual((found.target.dotted, found.api), ("Shop.buy", True))
        self.assertEqual((found.level, found.api_methods), (2, {"POST"}))
        self.assertEqual((hidden.level, hidden.api_methods), (None, None))
        self.assertFalse(hidden.api)
        self.assertTrue(hidden.request_as_kwarg)

    def test_kept(self) -> None:
        """A function is looked at once, and again when it is registered anew."""

        @self.real.tb("Shop", "buy", api=True)
        def old() -> int:
            return 1

        self.assertIs(self.app.find("Shop", "buy"), self.app.find("Shop", "buy"))

        @self.real.tb("Shop", "buy", api=True)
        def new() -> int:
            return 2

        self.assertEqual(self.call("Shop", "buy").get(), 2)

    def test_no_functions(self) -> None:
        """Lists and instances among their functions are none."""
        self.real.functions["Shop"] = {"on_start": ["buy"], "app_instance": object()}
        self.assertIsNone(self.app.find("Shop", "on_start"))
        self.assertIsNone(self.app.find("Shop", "app_instance"))
        self.assertIsNone(self.app.find("Nowhere", "x"))
        self.assertEqual(self.app.functions, {})

    def test_all(self) -> None:
        """All functions are listed, theirs and our own."""

        @self.real.tb("Shop", "buy", api=True)
        def buy() -> None: ...

        @self.app.tb(mod_name="Own", name="mine")
        def mine() -> int:
            return 7

        listed = {m: set(found) for m, found in self.app.functions.items()}
        self.assertEqual(listed, {"Shop": {"buy"}, "Own": {"mine"}})
        self.assertEqual(self.call("Own", "mine").get(), 7)

    def test_threads(self) -> None:
        """A function without async runs in the pool, one with it on the loop."""

        @self.real.tb("Shop", "sync", api=True)
        def sync() -> str:
            return threading.current_thread().name

        @self.real.tb("Shop", "coroutine", api=True)
        async def coroutine() -> object:
            return asyncio.get_running_loop().is_running()

        self.assertRegex(self.call("Shop", "sync").get(), r"\Aapp-\d")
        self.assertTrue(self.call("Shop", "coroutine").get())

    def test_results(self) -> None:
        """Results are ours, with the origin that they have or get."""

        @self.real.tb("Shop", "own", api=True)
        async def own() -> theirs.Result:
            return theirs.Result.ok(1)

        @self.real.tb("Shop", "forwarded", api=True)
        def forwarded() -> theirs.Result:
            return theirs.Result(origin=("Other", "place", "tb"))

        self.assertEqual(self.call("Shop", "own").origin, ["Shop", "own", "tb"])
        found = self.call("Shop", "forwarded")
        self.assertEqual(found.origin, ["Other", "place", "tb"])

    def test_row(self) -> None:
        """Bare data is enveloped, as ToolBoxV2's worker does."""

        @self.real.tb("Shop", "bare", api=True, row=True)
        def bare() -> dict[str, int]:
            return {"a": 1}

        result = self.call("Shop", "bare")
        self.assertEqual((result.raw, result.info.help_text), (False, "OK"))

    def test_arguments(self) -> None:
        """Arguments are converted, strays dropped, missing ones named."""

        @self.real.tb("Shop", "buy", api=True)
        def buy(item: str, count: int = 1) -> list[object]:
            return [item, count]

        found = self.call("Shop", "buy", item="tea", count="3", stray=1)
        self.assertEqual(found.get(), ["tea", 3])
        self.assertRaises(MissingArgument, self.call, "Shop", "buy")

    def test_app(self) -> None:
        """Who asks for the app gets theirs; self is the module's object."""

        @self.real.tb("Shop", "with_app", api=True)
        def with_app(app: object, who: str) -> object:
            return [app is self.real, who]

        @self.real.tb("Shop", "method", api=True)
        async def method(self: object) -> object:
            return self

        self.assertEqual(self.call("Shop", "with_app", who="x").get(), [True, "x"])
        self.assertIs(self.call("Shop", "method").get(), self.real)
        self.real.functions["Shop"]["app_instance"] = "the module's object"
        self.assertEqual(self.call("Shop", "method").get(), "the module's object")

    def test_request(self) -> None:
        """Who asks for the request gets one of their class."""

        @self.real.tb("Shop", "ask", api=True, request_as_kwarg=True)
        async def ask(request: Any = None) -> object:
            return request

        request = RequestData(RequestInfo("PUT"), AppSession(user_name="Ada"))
        got = self.call("Shop", "ask", request=request).get()
        self.assertEqual(got, theirs.RequestData("PUT", "Ada", None))
        got = self.call("Shop", "ask", request=request, data={"a": 1}).get()
        self.assertEqual((got.data, got.body), ({"a": 1}, {"a": 1}))

    def test_exception(self) -> None:
        """What a function raises is logged, and no client's business."""

        @self.real.tb("Shop", "crash", api=True)
        def crash() -> None:
            msg = "private"
            raise ValueError(msg)

        result = self.call("Shop", "crash")
        self.assertEqual(result.info.help_text, "Internal error")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class HookTests(ToolboxCase):
    """What runs at the start and at the end."""

    def test_flags(self) -> None:
        """Their decorator's flags are ours; what they have started themselves is."""
        self.real.tb("Shop", "begin", initial=True)(lambda: None)
        self.real.tb("Shop", "end", exit_f=True)(lambda: None)
        begin, end = (self.app.find("Shop", name) for name in ("begin", "end"))
        assert begin is not None
        assert end is not None
        self.assertEqual((begin.initial, begin.exit_f), (True, False))
        self.assertEqual((end.initial, end.exit_f), (False, True))
        self.real.tb("Mail", "begin", initial=True)(lambda: None)
        self.real.functions["Mail"]["app_instance"] = object()
        begun = self.app.find("Mail", "begin")
        assert begun is not None
        self.assertFalse(begun.initial)


class RunningTests(ToolboxCase):
    """What application code calls by itself."""

    def setUp(self) -> None:
        """Register a function that says where it runs, in both kinds."""
        super().setUp()

        @self.real.tb("Shop", "sync")
        def sync(**named: Any) -> object:
            return [threading.current_thread().name, named]

        @self.real.tb("Shop", "coroutine")
        async def coroutine() -> object:
            return threading.current_thread() is threading.main_thread()

    def call(self, module: str, name: str, **kwargs: object) -> Result:
        """Call a function as a worker does: with its loop in the context."""
        function = self.app.find(module, name)
        assert function is not None
        work = partial(self.app.call, function, kwargs)
        return run(LoopRunner().run(work, timeout_s=60))

    def inside(self, name: Any, **kwargs: Any) -> Any:
        """Return what ``a_run_any`` returns to a coroutine function."""

        @self.real.tb("Shop", "outer", api=True)
        async def outer() -> object:
            return [await self.real.a_run_any(name, **kwargs)]

        (found,) = self.call("Shop", "outer").get()
        return found

    def test_functions_do_not_block(self) -> None:
        """One without async runs in the pool, one with it where it was called."""
        for name in (("Shop", "sync"), ["Shop", "sync"], Shop.SYNC):
            where, named = self.inside(name, a=1)
            self.assertRegex(where, r"\Aapp-\d")
            self.assertEqual(named, {"a": 1})
        self.assertTrue(self.inside(("Shop", "coroutine")))

    def test_from_a_thread_of_the_pool(self) -> None:
        """A thread that waits for its own loop takes no second thread."""

        @self.real.tb("Shop", "waits", api=True)
        def waits() -> object:
            mine = threading.current_thread().name
            where, _ = asyncio.run(self.real.a_run_any(("Shop", "sync")))
            return where == mine

        self.app.pool = SyncPool(1, 0)
        self.addCleanup(self.app.pool.stop, lambda: None)
        self.assertTrue(self.call("Shop", "waits").get())

    def test_a_full_pool(self) -> None:
        """When there is no thread left, the call is refused."""
        self.app.pool = SyncPool(0, 0)
        with self.assertRaises(PoolFull):
            self.inside(("Shop", "sync"))

    def test_the_rest_is_theirs(self) -> None:
        """Unknown modules and WebSocket handlers are ToolBoxV2's business."""
        self.assertEqual(self.inside(("New", "thing")), "imported")
        ran = run(self.real.a_run_any(("Shop", "sync")))
        self.assertEqual(ran[0], threading.current_thread().name)


class Shop(Enum):
    """How ToolBoxV2 lets functions be named as well."""

    NAME = "Shop"
    SYNC = "sync"


class SocketTests(ToolboxCase):
    """Their WebSocket handlers, and their verbs."""

    def test_handlers(self) -> None:
        """Handlers are called themselves, with what their signature names."""

        def on_message(app: object, payload: Any, request: Any = None) -> Any:
            return theirs.Result.ok([app is self.real, payload, type(request)])

        self.real.on_websocket("Chat/room", on_message=on_message)
        handlers = self.app.websocket_handlers["Chat/room"]
        self.assertEqual((handlers.module, handlers.name), ("Chat", "room"))
        self.assertIsNone(handlers.on_connect)
        assert handlers.on_message is not None
        words = {"payload": 1, "request": RequestData()}
        answer = handlers.on_message.bind(self.app, words)()
        assert isinstance(answer, Result)
        self.assertEqual(answer.get(), [True, 1, theirs.RequestData])

    def test_kept(self) -> None:
        """Handlers are looked at once, and again when they have changed."""
        self.real.on_websocket("Chat/room", on_message=lambda payload: payload)
        first = self.app.websocket_handlers["Chat/room"]
        self.assertIs(self.app.websocket_handlers["Chat/room"], first)
        table = self.real.websocket_handlers["Chat/room"]
        table["on_connect"] = lambda conn_id: conn_id
        self.assertIsNotNone(self.app.websocket_handlers["Chat/room"].on_connect)

    def test_unusable(self) -> None:
        """Handlers that nobody can call are left out, and said so."""
        self.real.on_websocket("Chat/bad", on_message=lambda strange: strange)
        with capturedLogs() as events:
            self.assertEqual(self.app.websocket_handlers, {})
            self.assertEqual(self.app.websocket_handlers, {})
        self.assertEqual([event["id"] for event in events], ["Chat/bad"])

    def test_no_table(self) -> None:
        """A route without handlers is one that nobody answers."""
        self.real.websocket_handlers["Chat/empty"] = {}
        self.assertIsNone(self.app.websocket_handlers["Chat/empty"].on_message)

    def test_verbs(self) -> None:
        """What the App says reaches the bus, as coroutines; JSON as there."""
        port = FakePort()
        self.app.connect_bus(port, direct, None)  # type: ignore[arg-type]
        real: Any = self.real

        async def speak() -> list[bool]:
            return [
                await real.ws_send(CONN, {"a": 1}),
                await real.ws_send(CONN, "text"),
                await real.ws_join_channel(CONN, "c"),
                await real.ws_leave_channel(CONN, "c"),
                await real.ws_close(CONN, 4000, "bye"),
                await real.send_notification("t", "c", conn_id=CONN, icon=None),
                await real.ws_broadcast("c", {"b": 2}, CONN),
                await real.ws_broadcast_all({"d": 3}, [CONN]),
            ]

        self.assertEqual(run(speak()), [True] * 8)
        bodies = [item.body for item in port.sent]
        self.assertEqual(bodies[:2], [b'{"a":1}', b'"text"'])
        self.assertEqual(len(port.sent), 6)
        excluded = [item.event.payload["exclude"] for _, item in port.published]
        self.assertEqual(excluded, [[CONN], [CONN]])
        channels = [item.event.payload.get("channel") for _, item in port.published]
        self.assertEqual(channels, ["c", None])

    def test_no_bus(self) -> None:
        """Without a bus, they say that nothing is under way."""
        real: Any = self.real
        self.assertFalse(run(real.ws_broadcast("c", {})))
        self.assertFalse(run(real.ws_broadcast_all("text")))
