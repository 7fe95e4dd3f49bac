"""What is known about a function, and how it is called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.request import RequestData
from tbtwist.apps.signature import Call, Signature
from tbtwist.errors import BadArgument, MissingArgument

if TYPE_CHECKING:
    from decimal import Decimal

APP = object()


def called(func: Callable[..., Any], *, hidden: bool = False, **kwargs: object) -> Any:
    """Call ``func`` with what a client sent."""
    return Signature.of(func, "Mod/func").bind(APP, kwargs, hidden=hidden)()


class BindingTests(SynchronousTestCase):
    """Which values reach which parameter."""

    def test_conversion(self) -> None:
        """Annotated parameters are converted."""

        def buy(item: str, count: int = 1) -> object:
            return item, count

        self.assertEqual(called(buy, item="tea", count="3"), ("tea", 3))

    def test_null(self) -> None:
        """A parameter whose default is None takes null, whatever it is annotated."""

        def func(who: str = None, count: int = 1) -> None:  # type: ignore[assignment] # noqa: RUF013
            ...

        signature = Signature.of(func, "M/f")
        call = signature.bind(None, {"who": None})
        self.assertEqual(dict(call.kwargs), {"who": None})
        self.assertRaises(BadArgument, signature.bind, None, {"count": None})

    def test_defaults(self) -> None:
        """A parameter that was not sent has its own default, unconverted."""

        def buy(count: int = None) -> object:  # type: ignore[assignment]  # noqa: RUF013
            return count

        self.assertIsNone(called(buy))

    def test_missing(self) -> None:
        """A missing value is named."""

        def buy(item: str) -> object:
            return item

        with self.assertRaises(MissingArgument) as caught:
            called(buy)
        self.assertEqual(str(caught.exception), "The parameter item is missing.")

    def test_bad(self) -> None:
        """An unusable value is named."""

        def buy(count: int) -> object:
            return count

        with self.assertRaises(BadArgument) as caught:
            called(buy, count="x")
        self.assertEqual(caught.exception.field, "count")

    def test_strays(self) -> None:
        """What the function does not take is left out."""

        def nothing() -> str:
            return "ok"

        self.assertEqual(called(nothing, utm_source="mail", self="x"), "ok")

    def test_open_ended(self) -> None:
        """A function with ** gets everything."""

        def anything(a: int, **rest: object) -> object:
            return a, rest

        self.assertEqual(called(anything, a="1", b="2"), (1, {"b": "2"}))

    def test_app(self) -> None:
        """A first parameter called app, self or state gets the app."""

        def with_app(app: object, x: str) -> object:
            return app, x

        def with_self(self: object, x: str) -> object:
            return self, x

        def with_state(state: object, x: str) -> object:
            return state, x

        for func in (with_app, with_self, with_state):
            self.assertEqual(called(func, x="1"), (APP, "1"))

    def test_no_app_from_outside(self) -> None:
        """A client cannot replace the app, not even where ** takes everything."""

        def with_app(app: object, **rest: object) -> object:
            return app, rest

        self.assertEqual(called(with_app, app="mine", x="1"), (APP, {"x": "1"}))

    def test_app_elsewhere(self) -> None:
        """A later parameter of that name is one like any other."""

        def scoped(x: str, app: str = "") -> object:
            return x, app

        self.assertEqual(called(scoped, x="1", app="shop"), ("1", "shop"))

    def test_request(self) -> None:
        """The request reaches a function that takes it, as it is."""
        request = RequestData()

        def with_request(request: RequestData | None = None) -> object:
            return request

        def without() -> str:
            return "ok"

        self.assertIs(called(with_request, request=request), request)
        self.assertIs(called(with_request, hidden=True, request=request), request)
        self.assertEqual(called(without, request=request), "ok")

    def test_hidden_request(self) -> None:
        """With ** alone the request comes only if it was asked for."""

        def anything(**rest: object) -> object:
            return sorted(rest)

        self.assertEqual(called(anything, request=1, a=2), ["a", "request"])
        self.assertEqual(called(anything, hidden=True, request=1, a=2), ["a"])

    def test_positional_only(self) -> None:
        """Positional-only parameters keep their places."""

        def fixed(a: int, b: int = 5, /, c: int = 6) -> object:
            return a, b, c

        self.assertEqual(called(fixed, a="1", c="3"), (1, 5, 3))
        self.assertEqual(called(fixed, a="1", b="2"), (1, 2, 6))

    def test_keyword_only(self) -> None:
        """Keyword-only parameters work like all others; * is never filled."""

        def keyed(*rest: int, count: int) -> object:
            return rest, count

        self.assertEqual(called(keyed, count="2", rest="9"), ((), 2))

    def test_decorated(self) -> None:
        """A decorator that keeps the signature keeps the conversion."""

        def twice(func: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(func)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return [func(*args, **kwargs)] * 2

            return wrapper

        @twice
        def count(n: int) -> int:
            return n

        self.assertEqual(called(count, n="4"), [4, 4])

    def test_method(self) -> None:
        """A bound method can be registered as well."""

        class Shop:
            def buy(self, n: int) -> object:
                return n

        self.assertEqual(called(Shop().buy, n="4"), 4)


class AnnotationTests(SynchronousTestCase):
    """Annotations that cannot be used."""

    def test_unresolvable(self) -> None:
        """One that exists for type checkers only is passed over, with a warning."""

        def pay(amount: Decimal, count: int) -> object:
            return amount, count

        with capturedLogs() as logs:
            self.assertEqual(called(pay, amount="1.5", count="2"), ("1.5", 2))
        self.assertEqual(
            [(e["log_level"], e["label"], e["name"]) for e in logs],
            [(LogLevel.warn, "Mod/func", "amount")],
        )

    def test_impossible(self) -> None:
        """One that cannot be converted to is passed over, with a warning."""

        def odd(value: list[int] | tuple[int, int]) -> object:
            return value

        with capturedLogs() as logs:
            self.assertEqual(called(odd, value="x"), "x")
        self.assertEqual([e["name"] for e in logs], ["value"])

    def test_callable_object(self) -> None:
        """An object that can be called has no annotations to trip over."""

        class Adder:
            def __call__(self, a: str) -> str:
                return a + "!"

        self.assertEqual(called(Adder(), a="x"), "x!")


class KindTests(SynchronousTestCase):
    """Coroutine functions are told from others."""

    def test_kinds(self) -> None:
        """An async def is one, in every disguise."""

        async def plain() -> None:
            """Do nothing."""

        class Adder:
            async def __call__(self) -> None:
                """Do nothing."""

        for func in (plain, functools.partial(plain), Adder()):
            self.assertTrue(Signature.of(func, "x").is_coroutine)
            self.assertTrue(Call.of(func).is_coroutine)
        self.assertFalse(Signature.of(lambda: None, "x").is_coroutine)

    def test_call_with_values(self) -> None:
        """A call can be made with values just as they are."""
        self.assertEqual(Call.of(max, 3, 5)(), 5)


class PositionalTests(SynchronousTestCase):
    """Values without names, as calls from within may have them."""

    def test_names(self) -> None:
        """They get the names of the parameters in their order, the app apart."""

        def buy(app: object, item: str, count: int = 1) -> None:
            """Do nothing."""

        found = Signature.of(buy, "x").positional(("tea", 2))
        self.assertEqual(found, {"item": "tea", "count": 2})

    def test_too_many(self) -> None:
        """More of them than there are parameters is the caller's mistake."""
        with self.assertRaises(BadArgument):
            Signature.of(lambda a: a, "x").positional((1, 2))
