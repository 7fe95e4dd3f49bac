"""What functions return, and what clients see of it."""

import asyncio
import base64
from collections.abc import AsyncIterator

import attrs
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.envelope import attachment, page
from tbtwist.apps.result import Result


async def _numbers() -> AsyncIterator[int]:
    yield 1


class SuccessTests(SynchronousTestCase):
    """The constructors for what worked."""

    def test_envelope(self) -> None:
        """A success has exactly the envelope that clients of ToolBoxV2 know."""
        self.assertEqual(
            Result.ok({"a": 1}, data_info="about", info="fine").as_dict(),
            {
                "error": "none",
                "result": {
                    "data_to": "NATIVE",
                    "data_info": "about",
                    "data": {"a": 1},
                    "data_type": "dict",
                },
                "info": {"exec_code": 0, "help_text": "fine"},
                "origin": None,
            },
        )

    def test_key_order(self) -> None:
        """The keys come in the same order every time."""
        envelope = Result.ok().as_dict()
        self.assertEqual(list(envelope), ["error", "result", "info", "origin"])
        self.assertEqual(
            list(envelope["result"]), ["data_to", "data_info", "data", "data_type"]
        )

    def test_nothing(self) -> None:
        """A success without data says so in its type."""
        self.assertEqual(Result.ok().result.data_type, "NoneType")

    def test_json(self) -> None:
        """JSON goes to remote callers, as type json."""
        result = Result.json([1, 2])
        self.assertEqual(
            (result.result.data_type, result.result.data_to, result.result.data),
            ("json", "REMOTE", [1, 2]),
        )
        self.assertTrue(result.is_ok())

    def test_json_status(self) -> None:
        """A status given to json is its code, and no error."""
        result = Result.json({}, status_code=201)
        self.assertEqual(result.info.exec_code, 201)
        self.assertFalse(result.is_error())

    def test_text(self) -> None:
        """Plain text comes back inside of the envelope."""
        result = Result.text("hi")
        self.assertEqual((result.result.data_type, result.get()), ("text", "hi"))

    def test_other_text(self) -> None:
        """Text of another type goes out as that type."""
        result = Result.text("a,b", content_type="text/csv", headers={"X-Rows": "1"})
        self.assertEqual(result.result.data_type, "special_html")
        self.assertEqual(
            result.get(),
            {"html": "a,b", "headers": {"Content-Type": "text/csv", "X-Rows": "1"}},
        )

    def test_html_fragment(self) -> None:
        """A fragment of HTML is put into the page's main part."""
        result = Result.html("<b>hi</b>")
        self.assertEqual(result.get(), '<div class="main-content"><b>hi</b></div>')
        self.assertEqual(
            (result.result.data_type, result.info.exec_code), ("html", 200)
        )

    def test_html_as_it_is(self) -> None:
        """HTML with row=True, and a whole document, are left as they are."""
        self.assertEqual(Result.html("<b>hi</b>", row=True).get(), "<b>hi</b>")
        document = "\n<!DOCTYPE html><html></html>"
        self.assertEqual(Result.html(document).get(), document)
        self.assertEqual(page("<HTML lang=de>"), "<HTML lang=de>")
        self.assertIn("main-content", page("<htmlish>"))

    def test_html_headers(self) -> None:
        """HTML with headers of its own carries them along, and its status."""
        result = Result.html("<p>", row=True, headers={"X-A": "b"}, status=404)
        self.assertEqual(result.result.data_type, "special_html")
        self.assertEqual(result.get(), {"html": "<p>", "headers": {"X-A": "b"}})
        self.assertEqual(result.info.exec_code, 404)

    def test_redirect(self) -> None:
        """A redirect carries the URL and its status, and is no error."""
        result = Result.redirect("/next", 303)
        self.assertEqual(
            (result.result.data_type, result.get(), result.info.exec_code),
            ("redirect", "/next", 303),
        )
        self.assertFalse(result.is_error())

    def test_binary(self) -> None:
        """Bytes keep their type and name."""
        result = Result.binary(b"\0", "image/png", "a.png")
        self.assertEqual(result.result.data_type, "binary")
        self.assertEqual(
            result.get(),
            {"data": b"\0", "content_type": "image/png", "filename": "a.png"},
        )

    def test_file(self) -> None:
        """A file's bytes travel as Base64; Base64 text is taken as it is."""
        result = Result.file(b"\xff\0", "a.bin")
        self.assertEqual(base64.b64decode(result.get()), b"\xff\0")
        self.assertEqual(result.result.data_info, "File download: a.bin")
        self.assertEqual(Result.file("AAAA", "x").get(), "AAAA")

    def test_file_path(self) -> None:
        """A path is called what its file is called, unless it gets a name."""
        self.assertEqual(
            Result.file_path("/a/b.txt").result.data_info, "filename=b.txt"
        )
        result = Result.file_path("/a/b.txt", "report.txt")
        self.assertEqual(result.result.data_info, "filename=report.txt")
        self.assertEqual(
            (result.result.data_type, result.get()), ("file_path", "/a/b.txt")
        )

    def test_stream(self) -> None:
        """A stream is handed on unread, with its type, headers and cleanup."""
        numbers = _numbers()
        result = Result.stream(
            numbers, "text/plain", {"X-A": "b"}, cleanup_func=self.fail
        )
        data = result.get()
        self.assertEqual(result.result.data_type, "stream")
        self.assertIs(data["generator"], numbers)
        self.assertEqual(
            (data["type"], data["content_type"], data["headers"], data["cleanup_func"]),
            ("stream", "text/plain", {"X-A": "b"}, self.fail),
        )

    def test_sse(self) -> None:
        """Server-Sent Events are a stream of that type without hop-by-hop headers."""
        data = Result.sse(_numbers()).get()
        self.assertEqual(
            (data["content_type"], data["headers"]), ("text/event-stream", {})
        )

    def test_file_stream(self) -> None:
        """A streamed download has a name, and a length if that is known."""
        data = Result.file_stream(_numbers(), "a.txt", size=3).get()
        self.assertEqual(
            data["headers"],
            {
                "Content-Disposition": 'attachment; filename="a.txt"',
                "Content-Length": "3",
            },
        )
        data = Result.file_stream(_numbers(), "a.txt").get()
        self.assertNotIn("Content-Length", data["headers"])

    def test_future(self) -> None:
        """Data that is still to come can be awaited."""

        async def use() -> object:
            async def later() -> dict[str, int]:
                return {"n": 3}

            return await Result.future(later()).aget()

        self.assertEqual(asyncio.run(use()), {"n": 3})

    def test_aget_of_ready_data(self) -> None:
        """Data that is there already needs no waiting."""
        self.assertEqual(asyncio.run(Result.ok({"n": 3}).aget("n")), 3)

    def test_task(self) -> None:
        """Work for afterwards does not change what the result is."""

        async def work() -> None:
            """Do nothing."""

        result = Result.ok(1)
        later = result.task(work())
        self.assertEqual(later, result)
        assert later.background is not None
        later.background.close()
        self.assertIsNone(result.background)


class FailureTests(SynchronousTestCase):
    """The constructors for what did not work."""

    def test_kinds(self) -> None:
        """Each kind of failure has its name and its default code."""
        made = [
            Result.default_user_error("no"),
            Result.default_internal_error("no"),
            Result.custom_error(info="no"),
            Result.error(info="no"),
        ]
        self.assertEqual(
            [(r.error, r.info.exec_code, r.info.help_text) for r in made],
            [
                ("InputError", -3, "no"),
                ("InternalError", -2, "no"),
                ("CustomError", -1, "no"),
                ("CustomError", 450, "no"),
            ],
        )
        self.assertTrue(all(r.is_error() and not r.is_ok() for r in made))

    def test_data(self) -> None:
        """A failure can carry data, and its type is told."""
        result = Result.error(data={"field": "name"}, data_info="x", exec_code=409)
        self.assertEqual(result.get("field"), "name")
        self.assertEqual(result.as_dict()["result"]["data_type"], "dict")
        self.assertEqual(result.as_dict()["info"]["exec_code"], 409)

    def test_harmless_codes(self) -> None:
        """A failure with code 0 is none, as in ToolBoxV2; any other code is one."""
        self.assertFalse(Result.custom_error(exec_code=0).is_error())
        self.assertTrue(Result.custom_error(exec_code=200).is_error())


class ReadingTests(SynchronousTestCase):
    """How applications read a result."""

    def test_get(self) -> None:
        """All data or one key of it, with a default for what is missing."""
        result = Result.ok({"a": 1})
        self.assertEqual(result.get(), {"a": 1})
        self.assertEqual(result.get("a"), 1)
        self.assertEqual(result.get("b", 5), 5)
        self.assertEqual(Result.ok().get(default=7), 7)
        self.assertEqual(Result.ok([1]).get("a"), [1])

    def test_nested(self) -> None:
        """A result inside of a result has the last word."""
        self.assertTrue(Result.ok(Result.default_user_error("no")).is_error())
        inner = Result.ok(Result.ok({"a": 1}))
        self.assertFalse(inner.is_error())
        self.assertEqual(inner.get("a"), 1)
        self.assertEqual(inner.as_dict()["result"]["data"]["error"], "none")

    def test_frozen(self) -> None:
        """Nobody changes a result behind another's back."""
        with self.assertRaises(attrs.exceptions.FrozenInstanceError):
            Result.ok().raw = True  # type: ignore[misc]


class AttachmentTests(SynchronousTestCase):
    """The header that names a download."""

    def test_plain(self) -> None:
        """An ordinary name is quoted."""
        self.assertEqual(attachment("a b.txt"), 'attachment; filename="a b.txt"')

    def test_umlauts(self) -> None:
        """Other letters travel encoded, beside a plain form for old clients."""
        self.assertEqual(
            attachment("für.txt"),
            "attachment; filename=\"f_r.txt\"; filename*=UTF-8''f%C3%BCr.txt",
        )

    @given(st.text())
    def test_no_injection(self, name: str) -> None:
        """No name can end the header or its quotes."""
        header = attachment(name)
        self.assertTrue(header.isascii() and header.isprintable())
        self.assertEqual(header.count('"'), 2)
        self.assertNotIn("\\", header)
