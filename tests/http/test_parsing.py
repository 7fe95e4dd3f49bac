"""Heads of requests, as values."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import HttpWorker
from tbtwist.errors import Refused
from tbtwist.http.limits import Limits
from tbtwist.http.parsing import CHUNKED, Head, check_unfinished, read_head

LIMITS = Limits.from_settings(HttpWorker())


def head_of(*lines: str) -> Head:
    """Read a head of these lines."""
    return read_head("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n", LIMITS)


class HeadTests(SynchronousTestCase):
    """What a head says."""

    def test_parts(self) -> None:
        """Method, path, query, headers."""
        head = head_of("POST /a%20b?c=d%20e HTTP/1.1", "Host: x", "X-One:  1 ")
        self.assertEqual(
            (head.method, head.path, head.query), ("POST", "/a b", "c=d%20e")
        )
        self.assertEqual(head.headers(), {"host": "x", "x-one": "1"})
        self.assertEqual((head.length, head.keep_alive), (0, True))

    def test_lengths(self) -> None:
        """A length is a number, or chunks."""
        self.assertEqual(
            head_of("POST / HTTP/1.1", "Host: x", "Content-Length: 007").length, 7
        )
        chunked = head_of("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: Chunked")
        self.assertEqual(chunked.length, CHUNKED)

    def test_names_that_came_twice(self) -> None:
        """Values are joined, cookies as cookies are."""
        head = head_of(
            "GET / HTTP/1.1", "Host: x", "A: 1", "a: 2", "Cookie: b", "Cookie: c"
        )
        self.assertEqual(head.headers()["a"], "1,2")
        self.assertEqual(head.headers()["cookie"], "b; c")

    def test_connection(self) -> None:
        """HTTP/1.1 stays unless told, HTTP/1.0 goes unless told."""
        for version, option, stays in (
            ("1.1", "x", True),
            ("1.1", "x, CLOSE", False),
            ("1.1", "keep-alive, close", False),
            ("1.0", "x", False),
            ("1.0", "Keep-Alive", True),
            ("1.0", "keep-alive, close", False),
        ):
            head = head_of(f"GET / HTTP/{version}", "Host: x", f"Connection: {option}")
            self.assertEqual(head.keep_alive, stays, (version, option))

    def test_absolute_form(self) -> None:
        """The host of the target is the host."""
        for target, origin in (
            ("http://shop.example/a?b", b"/a?b"),
            ("HTTPS://shop.example:81?b", b"/?b"),
            ("http://shop.example", b"/"),
        ):
            head = head_of(f"GET {target} HTTP/1.1", "Host: other")
            self.assertEqual(head.target, origin)
            self.assertTrue(head.headers()["host"].startswith("shop.example"))

    def test_hosts(self) -> None:
        """Names, numbers and brackets are hosts."""
        for host in ("x", "a-b.example:80", "127.0.0.1", "[::1]:8000", ""):
            self.assertEqual(
                head_of("GET / HTTP/1.1", f"Host: {host}").headers()["host"], host
            )
        for host in ("x/y", "x y", "x,y", "[::1", "user@x", "x:y", 'x"'):
            with self.assertRaises(Refused):
                head_of("GET / HTTP/1.1", f"Host: {host}")

    def test_not_utf8(self) -> None:
        """A path that is not UTF-8 is empty, which is refused later, with a reason."""
        head = head_of("GET /api/%FF HTTP/1.1", "Host: x")
        self.assertEqual(head.path, "")
        self.assertTrue(head.route.startswith("/api/"))

    @settings(max_examples=200)
    @given(st.binary(max_size=120))
    def test_any_bytes(self, raw: bytes) -> None:
        """Bytes are a head or are refused."""
        for prefix in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n"):
            try:
                head = read_head(
                    prefix + raw.replace(b"\r\n\r\n", b"") + b"\r\n\r\n", LIMITS
                )
            except Refused as refused:
                self.assertIn(refused.status, (400, 414, 417, 431, 501, 505))
            else:
                self.assertNotIn("\n", "".join(head.headers().values()))


class UnfinishedTests(SynchronousTestCase):
    """Heads of which not all has come."""

    def test_patience(self) -> None:
        """What may still become a head is waited for."""
        for raw in (
            b"",
            b"\r",
            b"GET",
            b"GET / HTTP/1.1\r",
            b"GET / HTTP/1.1\r\nA: b\r\n",
        ):
            check_unfinished(raw, LIMITS, 0)

    def test_hopeless(self) -> None:
        """What cannot is refused at once."""
        for raw, status in (
            (b"GET / HTTP/1.1\nHost", 400),
            (b"GET /\rx", 400),
            (b"x" * 8193, 414),
            (b"GET / HTTP/1.1\r\n" + b"x" * 42_000, 431),
        ):
            with self.assertRaises(Refused) as caught:
                check_unfinished(raw, LIMITS, 0)
            self.assertEqual(caught.exception.status, status)

    def test_only_what_is_new(self) -> None:
        """A line end is judged once, also where it was cut in two."""
        check_unfinished(b"GET / HTTP/1.1\r\n", LIMITS, 15)
        with self.assertRaises(Refused):
            check_unfinished(b"GET / HTTP/1.1\n", LIMITS, 14)
