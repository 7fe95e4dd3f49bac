"""What functions return becomes what clients get (R1.4)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import attrs
from hypothesis import example, given, strategies as st
from twisted.logger import capturedLogs

from tbtwist.api.response import FileBody, Response
from tbtwist.apps.result import Result
from tests.api.answering import AnsweringTestCase, header


def content(response: Response) -> Any:
    """Return a JSON body."""
    assert header(response, "Content-Type") == "application/json"
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


class EnvelopeTests(AnsweringTestCase):
    """Ordinary data."""

    def test_envelope(self) -> None:
        """A success is 200 and the envelope with all its keys."""
        response = self.respond(Result.ok({"a": 1}, "info", "help"))
        self.assertEqual(response.status, 200)
        self.assertEqual(
            content(response),
            {
                "error": "none",
                "result": {
                    "data_to": "NATIVE",
                    "data_info": "info",
                    "data": {"a": 1},
                    "data_type": "dict",
                },
                "info": {"exec_code": 0, "help_text": "help"},
                "origin": None,
            },
        )

    def test_text_stays_in_the_envelope(self) -> None:
        """Plain text is data like any other, and the status is 200."""
        response = self.respond(Result.text("hi", status=201))
        self.assertEqual(response.status, 200)
        self.assertEqual(content(response)["result"]["data"], "hi")

    def test_odd_data(self) -> None:
        """Data that JSON does not know is no reason for a 500."""
        self.assertEqual(self.respond(Result.ok(object())).status, 200)

    def test_raw(self) -> None:
        """row=True: the data alone."""
        rows: list[tuple[Any, Any]] = [
            ({"a": 1}, {"a": 1}),
            ([1], [1]),
            ("x", {"result": "x"}),
            (5, {"result": 5}),
            (None, {"status": "ok"}),
        ]
        for data, expected in rows:
            raw = attrs.evolve(Result.ok(data), raw=True)
            self.assertEqual(content(self.respond(raw)), expected)
        page = self.respond(attrs.evolve(Result.ok("<p>x"), raw=True))
        self.assertEqual(header(page, "Content-Type"), "text/html; charset=utf-8")


class ErrorTests(AnsweringTestCase):
    """Failures."""

    @given(st.integers(-10, 700))
    @example(200)
    @example(204)
    def test_status(self, code: int) -> None:
        """Codes from 400 to 599 are the status; other failures are 500."""
        result = Result.custom_error(info="why", exec_code=code)
        response = self.respond(result)
        if code == 0:
            self.assertEqual(response.status, 200)
        else:
            expected = code if 400 <= code <= 599 else 500
            self.assertEqual(response.status, expected)
            self.assertEqual(content(response)["message"], "why")

    def test_default(self) -> None:
        """Result.error is 450, with a word of ours."""
        response = self.respond(Result.error(info="no"))
        self.assertEqual(response.status, 450)
        self.assertEqual(
            content(response), {"error": "ApplicationError", "message": "no"}
        )

    def test_inside(self) -> None:
        """A result inside of a result decides."""
        inner = Result.default_user_error("no", exec_code=404)
        self.assertEqual(self.respond(Result.ok(inner)).status, 404)


class PageTests(AnsweringTestCase):
    """HTML and redirects."""

    def test_html(self) -> None:
        """HTML goes out as a page with its status."""
        response = self.respond(Result.html("<p>ä", status=201, row=True))
        self.assertEqual((response.status, response.body), (201, "<p>ä".encode()))
        self.assertEqual(header(response, "Content-Type"), "text/html; charset=utf-8")

    def test_special_html(self) -> None:
        """Headers of an HTML result are sent, as far as they are the application's."""
        headers = {"X-A": "b\r\nSet-Cookie: c", "Content-Length": "1"}
        response = self.respond(Result.html("<p>", headers=headers, row=True))
        self.assertEqual(response.status, 200)
        self.assertEqual(header(response, "X-A"), "b  Set-Cookie: c")
        self.assertIsNone(header(response, "Content-Length"))
        self.assertIn("text/html", header(response, "Content-Type") or "")

    def test_own_content_type(self) -> None:
        """Text of another type keeps that type."""
        response = self.respond(Result.text("a,b", "text/csv"))
        self.assertEqual((response.status, response.body), (200, b"a,b"))
        self.assertEqual(header(response, "Content-Type"), "text/csv")

    def test_redirect(self) -> None:
        """A redirect is 302 with an empty body; other codes as asked for."""
        response = self.respond(Result.redirect("/a?b=c#d"))
        self.assertEqual((response.status, response.body), (302, b""))
        self.assertEqual(header(response, "Location"), "/a?b=c#d")
        self.assertEqual(self.respond(Result.redirect("/", 308)).status, 308)
        self.assertEqual(self.respond(Result.redirect("/", 200)).status, 302)

    @given(st.text())
    def test_a_redirect_is_one_header(self, url: str) -> None:
        """No URL breaks out of its header."""
        location = header(self.respond(Result.redirect(url)), "Location") or ""
        self.assertTrue(location.isascii())
        self.assertFalse(set(location) & set("\r\n "))


class DownloadTests(AnsweringTestCase):
    """Bytes and files."""

    def test_binary(self) -> None:
        """Bytes have their type; a name makes them a download."""
        response = self.respond(Result.binary(b"\x00\x01", "image/png"))
        self.assertEqual(response.body, b"\x00\x01")
        self.assertEqual(header(response, "Content-Type"), "image/png")
        self.assertIsNone(header(response, "Content-Disposition"))
        named = self.respond(Result.binary(b"", download_name="a.bin"))
        self.assertEqual(
            header(named, "Content-Disposition"), 'attachment; filename="a.bin"'
        )

    def test_file(self) -> None:
        """Bytes or Base64 become a download with the type of the name."""
        for data in (b"hi", base64.b64encode(b"hi").decode()):
            response = self.respond(Result.file(data, "a.txt"))
            self.assertEqual(response.body, b"hi")
            self.assertEqual(header(response, "Content-Type"), "text/plain")
            self.assertIn("a.txt", header(response, "Content-Disposition") or "")

    def test_broken_base64(self) -> None:
        """Text that is no Base64 is our failure, and is logged."""
        with capturedLogs() as events:
            self.assertEqual(self.respond(Result.file("%%%", "a")).status, 500)
        self.assertIn("Base64", str(events[0]["log_format"]))

    def test_file_path(self) -> None:
        """A file is not read, only announced."""
        path = Path(self.mktemp())
        path.write_bytes(b"12345")
        response = self.respond(Result.file_path(path, "a.json"))
        self.assertEqual(response.body, FileBody(path, 5))
        self.assertEqual(
            header(response, "Content-Disposition"), 'attachment; filename="a.json"'
        )

    def test_missing_file(self) -> None:
        """A file that is not there is 404 and does not show its path."""
        for path in ("/nonexistent/secret/x", "/", "a\0b"):
            response = self.respond(Result.file_path(path, "x"))
            self.assertEqual(response.status, 404)
            self.assertNotIn(b"secret", response.body)
