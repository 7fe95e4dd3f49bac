"""The first bytes of a connection."""

from __future__ import annotations

import json

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.handshake import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    Answer,
    Head,
    read_head,
    refusal,
)

GOOD = (
    b"GET /ws/Chat/room?a=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\r\n"
)


def status(data: bytes) -> int | None:
    """Return the status that ``data`` is refused with, or None."""
    found = read_head(data)
    return found.status if isinstance(found, Answer) else None


class ReadHeadTests(SynchronousTestCase):
    """What is a request, and what is not."""

    def test_a_good_head(self) -> None:
        """Path and query are kept as they were sent, names are in lower case."""
        self.assertEqual(
            read_head(GOOD),
            Head(
                "GET",
                "/ws/Chat/room",
                "a=1",
                {"host": "example.com", "upgrade": "websocket"},
            ),
        )

    def test_frames_behind_the_head(self) -> None:
        """A client may send its first message together with the handshake."""
        self.assertEqual(read_head(GOOD + b"\x81\x85....."), read_head(GOOD))

    @given(cut=st.integers(0, len(GOOD) - 1))
    def test_any_beginning_is_waited_for(self, cut: int) -> None:
        """A head that arrives in pieces is read when it is complete."""
        self.assertIsNone(read_head(GOOD[:cut]))

    @given(data=st.binary(max_size=300))
    def test_noise(self, data: bytes) -> None:
        """Whatever a scanner sends, it is read, refused or waited for."""
        self.assertIsInstance(read_head(data), Head | Answer | None)

    @given(data=st.binary(max_size=100))
    def test_what_is_read_has_no_control_bytes(self, data: bytes) -> None:
        """Nothing that could end a line in a log or another parser gets through."""
        found = read_head(b"GET /ws/a HTTP/1.1\r\nHost: a" + data + b"\r\n\r\n")
        if isinstance(found, Head):
            for text in (found.path, found.query, *found.headers.values()):
                self.assertEqual(len(text.splitlines() or [""]), 1, text)

    def test_endless_head(self) -> None:
        """A head that never ends costs us 32 KiB and is refused with 431."""
        self.assertIsNone(read_head(b"a" * MAX_HEAD_BYTES))
        self.assertEqual(status(b"a" * (MAX_HEAD_BYTES + 1)), 431)

    def test_long_head_that_ends(self) -> None:
        """A head beyond the limit is refused also when it comes in one piece."""
        long = b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n"
        self.assertEqual(status(long), 431)

    def test_too_many_headers(self) -> None:
        """The number of headers has a limit."""
        many = b"".join(b"X-%d: 1\r\n" % n for n in range(MAX_HEADERS + 1))
        self.assertEqual(status(b"GET / HTTP/1.1\r\n" + many + b"\r\n"), 431)

    def test_bytes_that_parsers_disagree_about(self) -> None:
        """No value can smuggle another header in (CVE-2026-44546)."""
        for byte in (0x00, 0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x7F, 0x85):
            smuggled = b"Host: a" + bytes([byte]) + b"Cookie: tb_session=x"
            head = b"GET /ws/a HTTP/1.1\r\n" + smuggled + b"\r\n\r\n"
            self.assertEqual(status(head), 400, hex(byte))

    def test_bad_lines(self) -> None:
        """Folded, nameless and misspelt headers are refused, not guessed at."""
        for line in (b" Host: a", b"\tfolded", b": a", b"Host : a", b"nothing"):
            self.assertEqual(
                status(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n"), 400, line
            )

    def test_bad_request_lines(self) -> None:
        """What is not a request for a path of ours is refused."""
        for line in (
            b"GET http://example.com/ws/a HTTP/1.1",
            b"GET /a b HTTP/1.1",
            b"get /ws/a HTTP/1.1",
            b"GET /ws/\xc3\xa4 HTTP/1.1",
            b"",
        ):
            self.assertEqual(status(line + b"\r\nHost: a\r\n\r\n"), 400, line)

    def test_another_http(self) -> None:
        """Another version of HTTP is refused for what it is."""
        self.assertEqual(status(b"GET /ws/a HTTP/2.0\r\nHost: a\r\n\r\n"), 505)

    def test_repeated_headers(self) -> None:
        """Proxies may split the cookies over several headers."""
        found = read_head(
            b"GET / HTTP/1.1\r\nCookie: a=1\r\nX: 1\r\nCookie: b=2\r\nX: 2\r\n\r\n"
        )
        self.assertIsInstance(found, Head)
        assert isinstance(found, Head)
        self.assertEqual(found.headers, {"cookie": "a=1; b=2", "x": "1, 2"})

    def test_wish_for_an_upgrade(self) -> None:
        """A plain request is told from a handshake."""
        self.assertTrue(Head("GET", "/", "", {"upgrade": "websocket"}).wants_websocket)
        self.assertFalse(Head("GET", "/", "", {}).wants_websocket)


class AnswerTests(SynchronousTestCase):
    """Plain HTTP answers."""

    def test_whole_answer(self) -> None:
        """An answer is complete HTTP, says that we close, and is not cached."""
        raw = Answer(200, {"status": "ready"}).to_bytes()
        head, _, body = raw.partition(b"\r\n\r\n")
        self.assertEqual(
            head.split(b"\r\n"),
            [
                b"HTTP/1.1 200 OK",
                b"Content-Type: application/json",
                b"Content-Length: 18",
                b"Cache-Control: no-store",
                b"Connection: close",
            ],
        )
        self.assertEqual(body, b'{"status":"ready"}')

    def test_refusal(self) -> None:
        """Errors have the envelope that every client of the API knows."""
        raw = refusal(404, "There is nothing here.", (("Retry-After", "1"),)).to_bytes()
        head, _, body = raw.partition(b"\r\n\r\n")
        self.assertIn(b"HTTP/1.1 404 Not Found", head)
        self.assertIn(b"\r\nRetry-After: 1", head)
        self.assertEqual(
            json.loads(body), {"error": "NotFound", "message": "There is nothing here."}
        )

    def test_own_connection_header(self) -> None:
        """Only one Connection header goes out."""
        raw = refusal(426, "no", (("Connection", "Upgrade, close"),)).to_bytes()
        self.assertEqual(raw.count(b"Connection:"), 1)

    def test_bodiless(self) -> None:
        """HEAD gets the length of the body, but not the body."""
        raw = Answer(200, {"a": 1}, bodiless=True).to_bytes()
        self.assertIn(b"Content-Length: 7", raw)
        self.assertTrue(raw.endswith(b"\r\n\r\n"))
