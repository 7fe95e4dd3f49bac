"""Responses as values, and headers that cannot break out."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.response import (
    FileBody,
    Response,
    application_headers,
    header_value,
    reason_phrase,
)


class HeaderTests(SynchronousTestCase):
    """What an application may say in headers."""

    @given(st.text())
    def test_no_value_starts_a_header(self, text: str) -> None:
        """Any text is one line of latin-1."""
        value = header_value(text)
        value.encode("latin-1")
        self.assertFalse(set(value) & set("\r\n\0"))

    @given(st.dictionaries(st.text(), st.text() | st.integers()))
    def test_only_tokens_are_names(self, headers: dict[str, object]) -> None:
        """A name that is no token is left out."""
        for name, _ in application_headers(headers):
            self.assertRegex(name, r"\A[!-~]+\Z")
            self.assertNotIn(":", name)

    def test_framing_is_ours(self) -> None:
        """Length, connection and transfer coding cannot be set by a function."""
        wanted = {
            "Content-Length": 1,
            "connection": "close",
            "Transfer-Encoding": "chunked",
            "Server": "x",
            "X-A": 1,
        }
        self.assertEqual(application_headers(wanted), (("X-A", "1"),))


class ResponseTests(SynchronousTestCase):
    """Status and length."""

    def test_reasons(self) -> None:
        """Every code has words, 450 ours."""
        self.assertEqual(reason_phrase(404), "Not Found")
        self.assertEqual(reason_phrase(450), "Refused by the Application")
        self.assertEqual(reason_phrase(599), "Status of the Application")

    def test_length(self) -> None:
        """The length is that of the bytes, or of the file."""
        self.assertEqual(Response(200, (), b"abc").length, 3)
        self.assertEqual(Response(200, (), FileBody(Path("/x"), 7)).length, 7)

    def test_bodiless(self) -> None:
        """204 and 304 have no body."""
        has = {status: Response(status).has_body for status in (200, 204, 304, 500)}
        self.assertEqual(has, {200: True, 204: False, 304: False, 500: True})
