"""Downloads: whole, in part, or not at all."""

from __future__ import annotations

import os
import re
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import unquote

from hypothesis import given, settings as run_with, strategies as st

from tbtwist.api.response import FileBody, Response
from tbtwist.apps.result import Result
from tests.api.answering import AnsweringTestCase, header

CONTENT = bytes(range(256)) * 600
T = 1_700_000_000


def parts_of(response: Response, body: bytes) -> list[tuple[str, bytes]]:
    """Return each part's Content-Range and content, as a mail reader sees them."""
    kind = header(response, "Content-Type")
    head = f"Content-Type: {kind}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = message_from_bytes(head + body, policy=policy.HTTP)
    found = []
    for part in message.iter_parts():
        content = part.get_content()
        found.append((str(part["Content-Range"]), content))
    return found


class DownloadTestCase(AnsweringTestCase):
    """Has one content, as bytes and as a file."""

    def setUp(self) -> None:
        """Write the file."""
        super().setUp()
        self.path = Path(self.mktemp())
        self.path.write_bytes(CONTENT)
        os.utime(self.path, (T, T))
        self.results = (
            Result.binary(CONTENT, "image/png"),
            Result.file(CONTENT, "a.png"),
            Result.file_path(self.path, "a.bin"),
        )


class WholeTests(DownloadTestCase):
    """Without a condition."""

    def test_headers(self) -> None:
        """Each says its version, and that parts can be had."""
        for result in self.results:
            response = self.respond(result)
            self.assertEqual(response.status, 200)
            self.assertEqual(header(response, "Accept-Ranges"), "bytes")
            self.assertRegex(header(response, "ETag") or "", r'\A"[0-9a-f-]+"\Z')
            self.assertEqual(self.content(response), CONTENT)

    def test_versions(self) -> None:
        """Bytes have another tag when they differ, files when they have changed."""
        one, other = (self.respond(Result.binary(b)) for b in (b"1", b"2"))
        self.assertNotEqual(header(one, "ETag"), header(other, "ETag"))
        file = Result.file_path(self.path)
        before = self.respond(file)
        self.assertEqual(
            header(before, "Last-Modified"), "Tue, 14 Nov 2023 22:13:20 GMT"
        )
        os.utime(self.path, (T + 5, T + 5))
        after = self.respond(file)
        self.assertNotEqual(header(before, "ETag"), header(after, "ETag"))

    def test_other_methods(self) -> None:
        """Conditions and ranges have a meaning for GET alone."""
        headers = {"range": "bytes=0-1", "if-none-match": "*", "if-match": '"x"'}
        for result in self.results:
            response = self.respond(result, headers, method="POST")
            self.assertEqual((response.status, response.length), (200, len(CONTENT)))

    def test_head(self) -> None:
        """HEAD tells about the whole; a range in it is ignored (§14.2)."""
        for result in self.results:
            response = self.respond(result, {"range": "bytes=0-1"}, method="HEAD")
            self.assertEqual((response.status, response.length), (200, len(CONTENT)))


class PartTests(DownloadTestCase):
    """Ranges."""

    def test_one(self) -> None:
        """One range is 206 with that part; of a file nothing else is read."""
        for result in self.results:
            response = self.respond(result, {"range": "bytes=10-19"})
            self.assertEqual(response.status, 206)
            where = header(response, "Content-Range")
            self.assertEqual(where, f"bytes 10-19/{len(CONTENT)}")
            self.assertEqual(self.content(response), CONTENT[10:20])
        file = self.respond(self.results[-1], {"range": "bytes=10-19"})
        self.assertEqual(file.body, FileBody(self.path, 10, 10))

    @given(
        st.lists(
            st.tuples(st.integers(0, 999), st.integers(0, 99)), min_size=2, max_size=5
        )
    )
    @run_with(max_examples=25, deadline=None)
    def test_several(self, places: list[tuple[int, int]]) -> None:
        """Several ranges are parts of one body, each where it says."""
        wanted = ",".join(f"{start}-{start + more}" for start, more in places)
        for result in self.results:
            response = self.respond(result, {"range": f"bytes={wanted}"})
            self.assertEqual(response.status, 206)
            body = self.content(response)
            self.assertEqual(response.length, len(body))
            expected = [
                (f"bytes {a}-{a + n}/{len(CONTENT)}", CONTENT[a : a + n + 1])
                for a, n in places
            ]
            self.assertEqual(parts_of(response, body), expected)

    def test_large_parts_of_a_file(self) -> None:
        """Large parts come in pieces, complete."""
        result = Result.file_path(self.path)
        response = self.respond(result, {"range": "bytes=0-69999,70000-139999"})
        parts = parts_of(response, self.content(response))
        self.assertEqual(
            [p for _, p in parts], [CONTENT[:70000], CONTENT[70000:140000]]
        )

    def test_none_exists(self) -> None:
        """Ranges behind the end are 416, which says where the end is."""
        for result in self.results:
            response = self.respond(result, {"range": "bytes=999999-"})
            self.assertEqual(response.status, 416)
            self.assertEqual(
                header(response, "Content-Range"), f"bytes */{len(CONTENT)}"
            )

    def test_if_range(self) -> None:
        """A part is only sent to whom has the rest of the same version."""
        for result in self.results:
            tag = header(self.respond(result), "ETag") or ""
            headers = {"range": "bytes=0-1", "if-range": tag}
            self.assertEqual(self.respond(result, headers).status, 206)
            headers["if-range"] = '"old"'
            self.assertEqual(self.respond(result, headers).status, 200)


class ConditionTests(DownloadTestCase):
    """Conditional requests."""

    def test_known(self) -> None:
        """Who has it gets 304, without content but with its tag."""
        for result in self.results:
            tag = header(self.respond(result), "ETag") or ""
            for method in ("GET", "HEAD"):
                headers = {"if-none-match": tag, "range": "bytes=0-1"}
                response = self.respond(result, headers, method=method)
                self.assertEqual((response.status, response.body), (304, b""))
                self.assertEqual(header(response, "ETag"), tag)
                self.assertIsNone(header(response, "Content-Type"))

    def test_changed(self) -> None:
        """Who builds upon another version gets 412."""
        for result in self.results:
            response = self.respond(result, {"if-match": '"old"'})
            self.assertEqual(response.status, 412)


class NameTests(DownloadTestCase):
    """File names."""

    @given(st.text(min_size=1, max_size=30))
    def test_any_name(self, name: str) -> None:
        """A name in any script is one header, which names it exactly (RFC 6266)."""
        response = self.respond(Result.file(b"x", name))
        value = header(response, "Content-Disposition") or ""
        self.assertTrue(value.isascii() and value.isprintable(), value)
        plain = re.search(r'filename="([^"]*)"', value)
        exact = re.search(r"filename\*=UTF-8''(.*)", value)
        assert plain is not None
        self.assertEqual(unquote(exact[1]) if exact else plain[1], name)
