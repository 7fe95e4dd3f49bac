"""WSGI environs are read exactly as PEP 3333 says, and no further."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.bodies import BodyLimits, BodyReader
from tbtwist.api.request import ParsedBody
from tbtwist.api.response import FileBody, Response
from tbtwist.apps.uploads import UploadFolder
from tbtwist.errors import Refused
from tbtwist.http.environ import (
    FileBlocks,
    header_list,
    read_body,
    read_head,
    status_line,
)
from tbtwist.net.proxies import TrustedProxies


class Trickle(io.BytesIO):
    """An input that gives one byte at a time and notes how much was asked for."""

    asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return one byte."""
        self.asked += size or 0
        return super().read(min(1, size or 0))


def environ(**values: Any) -> dict[str, Any]:
    """Return a small environ."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/M/f",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b"hello world"),
        **values,
    }


class HeadTests(SynchronousTestCase):
    """The head of a request."""

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def test_path_is_utf8_in_latin1(self, path: str) -> None:
        """A path in any script arrives as it was meant."""
        tunnelled = path.encode().decode("latin-1")
        head = read_head(environ(PATH_INFO=tunnelled), TrustedProxies())
        self.assertEqual(head.path, path)

    def test_not_utf8(self) -> None:
        """A path that is no UTF-8 is empty, a missing one is the root."""
        self.assertEqual(
            read_head(environ(PATH_INFO="/\xff"), TrustedProxies()).path, ""
        )
        self.assertEqual(read_head(environ(PATH_INFO=""), TrustedProxies()).path, "/")

    def test_headers(self) -> None:
        """Names are lower-case with dashes; type and length are headers too."""
        head = read_head(
            environ(
                HTTP_USER_AGENT="x",
                HTTP_X_A="\xe9",
                CONTENT_TYPE="text/plain; charset=x",
                CONTENT_LENGTH="",
                QUERY_STRING="a=%41&b=\xc3\xa4",
            ),
            TrustedProxies(),
        )
        self.assertEqual(
            head.headers,
            {"user-agent": "x", "x-a": "\xe9", "content-type": "text/plain; charset=x"},
        )
        self.assertEqual((head.query, head.content_type), ("a=%41&b=ä", "text/plain"))

    def test_client(self) -> None:
        """Address and scheme come from the connection, or from a trusted proxy."""
        forwarded = environ(
            HTTP_X_FORWARDED_FOR="198.51.100.7", HTTP_X_FORWARDED_PROTO="https"
        )
        head = read_head(forwarded, TrustedProxies())
        self.assertEqual((head.client_ip, head.secure), ("192.0.2.1", False))
        head = read_head(forwarded, TrustedProxies.parse(["192.0.2.0/24"]))
        self.assertEqual((head.client_ip, head.secure), ("198.51.100.7", True))


def read(max_bytes: int = 50, **values: Any) -> ParsedBody:
    """Read the body of a request, of at most ``max_bytes``."""
    wsgi = environ(**values)
    limits = BodyLimits(max_body_bytes=max_bytes)
    head = read_head(wsgi, TrustedProxies())
    return read_body(wsgi, BodyReader(head, limits, UploadFolder(Path("nowhere"))))


class BodyTests(SynchronousTestCase):
    """The body of a request."""

    @given(st.binary(max_size=50), st.binary(max_size=10))
    def test_exactly_the_length(self, body: bytes, rest: bytes) -> None:
        """We read what belongs to this request and not a byte more."""
        source = Trickle(body + rest)
        environ: dict[str, Any] = {"wsgi.input": source}
        got = read(CONTENT_LENGTH=str(len(body)), **environ)
        self.assertEqual(got.raw, body)
        self.assertEqual(source.tell(), len(body))

    def test_no_length_is_no_body(self) -> None:
        """Without a length nothing is read: the input may never end."""
        self.assertEqual(read().raw, b"")
        self.assertEqual(read(CONTENT_LENGTH="").raw, b"")

    def test_too_large_is_refused_before_reading(self) -> None:
        """A body over the limit is 413 before a byte of it was asked for."""
        source = Trickle(b"x" * 100)
        values: dict[str, Any] = {"CONTENT_LENGTH": "51", "wsgi.input": source}
        error = self.assertRaises(Refused, read, **values)
        self.assertEqual((error.status, source.asked), (413, 0))

    def test_wrong_lengths(self) -> None:
        """A length that is no number is 400."""
        for length in ("-1", "+5", "5x", "0x5", " 5", "\u0665", "9" * 30):
            error = self.assertRaises(Refused, read, CONTENT_LENGTH=length)
            self.assertEqual(error.status, 400, length)

    def test_broken_off(self) -> None:
        """A body that ends early is 400, not a shorter body."""
        error = self.assertRaises(Refused, read, CONTENT_LENGTH="12")
        self.assertEqual(error.status, 400)

    def test_terminated_input(self) -> None:
        """A server that ends the input itself needs no length; the limit holds."""
        values = {"wsgi.input_terminated": True}
        self.assertEqual(read(11, **values).raw, b"hello world")
        error = self.assertRaises(Refused, read, 10, **values)
        self.assertEqual(error.status, 413)


class ResponseTests(SynchronousTestCase):
    """The way back."""

    def test_status_and_length(self) -> None:
        """Every status has words; a length only where a body may be."""
        self.assertEqual(status_line(Response(404)), "404 Not Found")
        self.assertEqual(status_line(Response(450)), "450 Refused by the Application")
        self.assertEqual(
            header_list(Response(200, (("A", "b"),), b"xyz")),
            [("A", "b"), ("Content-Length", "3")],
        )
        self.assertEqual(header_list(Response(204)), [])


class FileTests(SynchronousTestCase):
    """Files are sent block by block."""

    def setUp(self) -> None:
        """Write a file of more than one block."""
        self.path = Path(self.mktemp())
        self.content = bytes(range(256)) * 600
        self.path.write_bytes(self.content)

    def test_blocks(self) -> None:
        """All of the file comes, in several blocks."""
        blocks = FileBlocks.open(FileBody(self.path, len(self.content)))
        self.addCleanup(blocks.close)
        parts = list(blocks)
        self.assertEqual(b"".join(parts), self.content)
        self.assertGreater(len(parts), 1)

    def test_growing(self) -> None:
        """What is appended meanwhile is not sent: the length has been announced."""
        blocks = FileBlocks.open(FileBody(self.path, 10))
        self.addCleanup(blocks.close)
        self.assertEqual(list(blocks), [self.content[:10]])

    def test_shrinking(self) -> None:
        """A file that became shorter breaks the answer off instead of lying."""
        blocks = FileBlocks.open(FileBody(self.path, len(self.content) + 1))
        self.addCleanup(blocks.close)
        self.assertRaises(OSError, list, blocks)
