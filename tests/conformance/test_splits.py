"""However bytes arrive, and whatever bytes arrive."""

from __future__ import annotations

import contextlib
import re
from itertools import combinations, pairwise

from hypothesis import example, given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.conformance.cases import CASES, SMUGGLING, Case
from tests.conformance.wire import BadResponse, Got, read_all
from tests.http.memory import MemoryServer, limited

_OWN = re.compile(rb"(?im)^(Date|X-Request-ID): [^\r]*")
_VARIED = tuple(c for c in CASES if len(c.sent) < 2000)


def talk(server: MemoryServer, pieces: list[bytes]) -> tuple[bytes, bool]:
    """Send the pieces; return what came, and whether the server ended it."""
    connection = server.connect()
    for piece in pieces:
        connection.send(piece)
        server.reactor.advance(0)
    server.reactor.pump([0] * 5)
    raw, ended = connection.transport.value(), connection.closing
    connection.leave()
    return _OWN.sub(rb"\1: -", raw), ended


class SplitTests(SynchronousTestCase):
    """The network may cut a stream anywhere."""

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(_VARIED), st.data())
    def test_anywhere(self, case: Case, data: st.DataObject) -> None:
        """The same bytes in other pieces have the same answers."""
        server = MemoryServer(limited(lane="auto"))
        length = len(case.sent)
        cuts = data.draw(st.lists(st.integers(0, length), max_size=8).map(sorted))
        edges = [0, *cuts, length]
        pieces = [case.sent[a:b] for a, b in pairwise(edges)]
        self.assertEqual(
            *(self.comparable(case, *talk(server, p)) for p in ([case.sent], pieces))
        )

    def comparable(self, case: Case, raw: bytes, ended: bool) -> object:
        """A go-ahead depends on whether the body was there before it."""
        got = read_all(raw, heads=case.heads, ended=ended)
        finals = [g for g in got if g.status != 100]
        if case.name.startswith("too large") and finals:
            finals = finals[:1]
        return [self.facts(g) for g in finals], ended

    def facts(self, got: Got) -> object:
        """The words of a refusal depend on what had been seen by then."""
        if got.status >= 400:
            return got.status, set(got.headers)
        return got.status, got.headers, got.body

    def test_byte_by_byte(self) -> None:
        """One byte at a time is the worst cut of all."""
        for case in _VARIED:
            server = MemoryServer(limited(lane="auto"))
            pieces = [case.sent[n : n + 1] for n in range(len(case.sent))]
            raw, ended = talk(server, pieces)
            whole = talk(server, [case.sent])
            self.assertEqual(
                self.comparable(case, raw, ended),
                self.comparable(case, *whole),
                case.name,
            )


def _spoilt(raw: bytes) -> st.SearchStrategy[bytes]:
    """Return ``raw`` with some of its bytes replaced, removed or doubled."""
    place = st.integers(0, max(len(raw) - 1, 0))
    change = st.tuples(place, st.binary(max_size=3), st.integers(0, 2))
    return st.lists(change, max_size=4).map(lambda changes: _spoil(raw, changes))


def _spoil(raw: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for place, new, removed in changes:
        raw = raw[:place] + new + raw[place + removed :]
    return raw


_GO_AHEAD = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_SPOILT = st.sampled_from([*(c.sent for c in _VARIED), *SMUGGLING.values()]).flatmap(
    _spoilt
)


def readable(raw: bytes, *, heads: bool) -> bool:
    """Whether these are whole answers; with ``heads``, any of them may be to a HEAD."""
    count = len(_STATUS.findall(raw)) if heads else 0
    for size in range(count + 1):
        for chosen in combinations(range(count), size):
            with contextlib.suppress(BadResponse):
                if all(got.complete for got in read_all(raw, heads=chosen)):
                    return True
    return False


class SpoiltSplitTests(SynchronousTestCase):
    """Spoilt streams, cut anywhere."""

    @settings(max_examples=300, deadline=None)
    @given(_SPOILT, st.data())
    def test_anywhere(self, raw: bytes, data: st.DataObject) -> None:
        """Where a stream is cut changes no answer, even if it makes no sense.

        There is never more than one answer for each end of a head, and one for
        what cannot be read.
        """
        cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=8).map(sorted))
        pieces = [raw[a:b] for a, b in pairwise([0, *cuts, len(raw)])]
        whole, parts = (self.answers([raw]), self.answers(pieces))
        self.assertEqual(whole, parts)
        self.assertLessEqual(len(whole[0]), raw.count(b"\r\n\r\n") + 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def answers(self, pieces: list[bytes]) -> tuple[list[bytes], bytes, bool]:
        """Return statuses, every word where nothing was refused, and the end.

        The words of a refusal depend on what had been seen by then.
        """
        raw, ended = talk(MemoryServer(limited(lane="auto")), pieces)
        raw = raw.replace(_GO_AHEAD, b"")
        statuses = _STATUS.findall(raw)
        refused = any(status >= b"400" for status in statuses)
        return statuses, b"" if refused else raw, ended


class GarbageTests(SynchronousTestCase):
    """Nothing that is sent breaks anything."""

    def sent(self, raw: bytes) -> None:
        """It ends in answers that are HTTP, and in time the connection is closed."""
        server = MemoryServer(limited(lane="auto"))
        connection = server.connect()
        connection.send(raw)
        for _ in range(300):
            server.reactor.advance(1)
            if connection.closing:
                break
        self.assertTrue(connection.closing)
        self.assertTrue(readable(connection.transport.value(), heads=b"HEAD" in raw))
        connection.leave()
        self.assertEqual(server.health.in_flight, 0)
        self.assertEqual(server.left_behind(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=300))
    @example(b"\r\n")
    @example(b"\r")
    @example(b"\n\n\n")
    @example(b"\x00" * 50_000)
    @example(b"GET " * 20_000)
    @example(b"\r\n" * 5_000)
    def test_noise(self, raw: bytes) -> None:
        """Random bytes are refused."""
        self.sent(raw)

    @settings(max_examples=300, deadline=None)
    @given(_SPOILT)
    def test_nearly_right(self, raw: bytes) -> None:
        """Spoilt requests are answered or refused, and never half of both."""
        self.sent(raw)
