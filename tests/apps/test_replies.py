"""What WebSocket clients get for what handlers return."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.items import Message
from tbtwist.apps.replies import Replies, Wrap
from tbtwist.apps.result import Result
from tbtwist.errors import (
    BadArgument,
    DeadlinePassed,
    MissingArgument,
    PoolFull,
    Undeliverable,
)


def seen(message: Message | None) -> Any:
    """Return what a client reads."""
    assert message is not None
    return message.body if message.binary else json.loads(message.body)


def reply(value: object, wrap: Wrap = "auto", request_id: object = None) -> Any:
    """Return what a client reads for what a handler returned."""
    return seen(Replies(wrap, request_id).to(value))


class ShapeTests(SynchronousTestCase):
    """The three ways to wrap."""

    def test_auto(self) -> None:
        """Messages of the application's own protocol pass, all else is wrapped."""
        self.assertEqual(reply({"type": "x", "a": 1}), {"type": "x", "a": 1})
        self.assertEqual(reply({"event": "x"}), {"event": "x"})
        for value in ({"a": 1}, "text", 5, [1], True, ""):
            self.assertEqual(reply(value), {"type": "response", "data": value})

    def test_always(self) -> None:
        """Everything can be wrapped."""
        self.assertEqual(
            reply({"type": "x"}, "always"), {"type": "response", "data": {"type": "x"}}
        )

    def test_never(self) -> None:
        """Nothing can be wrapped, as in ToolBoxV2."""
        self.assertEqual(reply({"a": 1}, "never"), {"a": 1})
        self.assertEqual(reply([1], "never"), [1])
        message = Replies("never").to("plain")
        self.assertEqual(message, Message(b"plain"))

    def test_binary(self) -> None:
        """Bytes are a binary message whatever the setting."""
        for wrap in ("auto", "always", "never"):
            wraps: Any = wrap
            self.assertEqual(Replies(wraps).to(b"\0"), Message(b"\0", binary=True))

    def test_nothing(self) -> None:
        """None is no answer."""
        self.assertIsNone(Replies("always").to(None))
        self.assertIsNone(Replies("auto", "id").to(Result.ok()))


class IdTests(SynchronousTestCase):
    """The id by which a client finds the answer to its question."""

    def test_repeated(self) -> None:
        """It is repeated in every answer that is an object."""
        self.assertEqual(reply({"type": "x"}, request_id=7), {"id": 7, "type": "x"})
        self.assertEqual(
            reply("text", request_id="a"),
            {"id": "a", "type": "response", "data": "text"},
        )
        self.assertEqual(seen(Replies("auto", 7).pong()), {"id": 7, "type": "pong"})
        self.assertEqual(seen(Replies("auto", 7).error("X", "y"))["id"], 7)

    def test_falsy(self) -> None:
        """Zero is an id as well."""
        self.assertEqual(reply({"type": "x"}, request_id=0)["id"], 0)

    def test_own(self) -> None:
        """A handler's own id stays."""
        self.assertEqual(reply({"type": "x", "id": 1}, request_id=7)["id"], 1)

    def test_no_object(self) -> None:
        """What is no object has no place for it."""
        self.assertEqual(reply([1], "never", 7), [1])


class ResultTests(SynchronousTestCase):
    """Results as answers."""

    def test_by_data(self) -> None:
        """A result is sent by its data, as if the handler had returned that."""
        self.assertEqual(reply(Result.ok({"type": "x"})), {"type": "x"})
        self.assertEqual(reply(Result.ok(5)), {"type": "response", "data": 5})
        self.assertEqual(reply(Result.ok(b"\0")), b"\0")
        self.assertEqual(reply(Result.ok(Result.ok(5)))["data"], 5)

    def test_failed(self) -> None:
        """A failure is an error with its kind, its code and its text."""
        for result, code, exec_code in (
            (Result.default_user_error("no"), "INPUT", -3),
            (Result.default_internal_error("no"), "INTERNAL", -2),
            (Result.custom_error(info="no", exec_code=7), "CUSTOM", 7),
            (Result.ok(Result.default_user_error("no")), "INPUT", -3),
        ):
            self.assertEqual(
                reply(result, request_id=1),
                {
                    "id": 1,
                    "type": "error",
                    "code": code,
                    "message": "no",
                    "exec_code": exec_code,
                },
            )

    def test_stream(self) -> None:
        """A stream says that it cannot be sent, instead of something useless."""
        self.assertEqual(reply(Result.stream([1]))["code"], "UNSUPPORTED")

    def test_response(self) -> None:
        """The answer to a call is the data, also where there is none."""
        replies = Replies("auto", 1)
        self.assertEqual(
            seen(replies.response(Result.ok({"type": "x"}))),
            {"id": 1, "type": "response", "data": {"type": "x"}},
        )
        self.assertEqual(
            seen(replies.response(Result.ok())),
            {"id": 1, "type": "response", "data": None},
        )
        self.assertEqual(
            seen(replies.response(Result.default_user_error("no")))["type"], "error"
        )


class ErrorTests(SynchronousTestCase):
    """Errors that clients may know about."""

    def test_codes(self) -> None:
        """Each has a code that programs understand and a text for people."""
        for error, code in (
            (BadArgument("n", "bad"), "BAD_ARGUMENT"),
            (MissingArgument("n"), "MISSING_ARGUMENT"),
            (PoolFull(), "BUSY"),
            (DeadlinePassed(3.0), "TIMEOUT"),
        ):
            message = seen(Replies("auto").refused(error))
            self.assertEqual(message["code"], code)
            self.assertEqual(message["message"], str(error))

    def test_others(self) -> None:
        """All others are nobody's business."""
        for error in (ValueError("x"), Undeliverable(target="x", reason="y")):
            self.assertIsNone(Replies("auto").refused(error))
