"""Where a body ends."""

from __future__ import annotations

from itertools import pairwise

import httptools
from hypothesis import example, given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import Refused
from tbtwist.http.framing import Chunked, Framing, framing
from tbtwist.http.parsing import CHUNKED


def take_all(frame: Framing, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Feed the pieces; return the body and what is left over."""
    body, rest = b"", b""
    for piece in pieces:
        if frame.done:
            rest += piece
            continue
        found, rest = frame.take(piece)
        body += found
    return body, rest


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """Cut ``raw`` at places."""
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[a:b] for a, b in pairwise(edges)]


_PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
_PLACES = st.lists(st.integers(0, 10**6), max_size=8)


class _Judge:
    """Collects what httptools takes for the body."""

    def __init__(self) -> None:
        self.body = b""
        self.done = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.done = True


class CountedTests(SynchronousTestCase):
    """Bodies with a length."""

    @given(st.binary(max_size=50), st.binary(max_size=20), _PLACES)
    def test_any_cut(self, body: bytes, after: bytes, places: list[int]) -> None:
        """Exactly the announced bytes are the body, however they come."""
        frame = framing(len(body))
        self.assertEqual(take_all(frame, cut(body + after, places)), (body, after))
        self.assertTrue(frame.done)

    def test_empty(self) -> None:
        """A body of no bytes is complete before anything comes."""
        self.assertTrue(framing(0).done)


class ChunkedTests(SynchronousTestCase):
    """Bodies in chunks."""

    @given(
        _PIECES,
        st.sampled_from([b"", b";a=b", b" ; a"]),
        st.binary(max_size=9),
        _PLACES,
    )
    def test_any_cut(
        self, pieces: list[bytes], extension: bytes, after: bytes, places: list[int]
    ) -> None:
        """Chunks, extensions and trailers are read wherever the network cuts them."""
        chunks = [b"%X%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces]
        raw = b"".join(chunks) + b"0\r\nX-T: 1\r\n\r\n" + after
        frame = framing(CHUNKED)
        self.assertEqual(take_all(frame, cut(raw, places)), (b"".join(pieces), after))
        self.assertTrue(frame.done)

    @given(
        st.binary(max_size=30)
        | st.text("0123456789abcdefF;\r\n x", max_size=30).map(str.encode)
    )
    @example(b"5\r\nhello\r\n0\r\n\r\n")
    @example(b"0\r\n\r\nGET")
    def test_never_more_than_llhttp(self, raw: bytes) -> None:
        """What we take for a complete body, httptools takes for the same one."""
        frame = Chunked()
        try:
            body, rest = frame.take(raw)
        except Refused:
            return
        if not frame.done:
            return
        judge = _Judge()
        parser = httptools.HttpRequestParser(judge)
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        parser.feed_data(head + raw[: len(raw) - len(rest)])
        self.assertEqual((judge.body, judge.done), (body, True))

    def test_small_pieces_of_a_line(self) -> None:
        """A line that never ends is refused, byte by byte as well."""
        frame = Chunked()
        with self.assertRaises(Refused) as caught:
            for _ in range(300):
                frame.take(b"1")
        self.assertEqual(caught.exception.status, 400)
