"""Clients that have something already are not sent it again (RFC 9110 §13)."""

from __future__ import annotations

from email.utils import formatdate

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.conditions import Validators, ranges_apply, verdict

T = 1_700_000_000
CURRENT = Validators('"v2"', T)
BEFORE, SAME, AFTER = (formatdate(T + n, usegmt=True) for n in (-60, 0, 60))


class VerdictTests(SynchronousTestCase):
    """Which status a condition leads to."""

    def test_table(self) -> None:
        """Every condition, alone and with others, as §13.2.2 orders them."""
        rows: list[tuple[int, dict[str, str]]] = [
            (200, {}),
            (304, {"if-none-match": '"v2"'}),
            (304, {"if-none-match": 'W/"v2"'}),
            (304, {"if-none-match": '"v1", "v2"'}),
            (304, {"if-none-match": "*"}),
            (200, {"if-none-match": '"v1"'}),
            (200, {"if-none-match": "v2"}),
            (200, {"if-modified-since": BEFORE}),
            (304, {"if-modified-since": SAME}),
            (304, {"if-modified-since": AFTER}),
            (200, {"if-modified-since": "yesterday"}),
            (200, {"if-none-match": '"v1"', "if-modified-since": AFTER}),
            (200, {"if-match": '"v2"'}),
            (200, {"if-match": "*"}),
            (412, {"if-match": '"v1"'}),
            (412, {"if-match": 'W/"v2"'}),
            (412, {"if-match": '"v1"', "if-none-match": '"v2"'}),
            (412, {"if-unmodified-since": BEFORE}),
            (200, {"if-unmodified-since": SAME}),
            (200, {"if-unmodified-since": "never"}),
            (200, {"if-match": '"v2"', "if-unmodified-since": BEFORE}),
            (304, {"if-match": '"v2"', "if-none-match": '"v2"'}),
        ]
        for status, headers in rows:
            self.assertEqual(verdict(headers, CURRENT), status, headers)

    def test_without_a_date(self) -> None:
        """What has no date of change ignores conditions about dates."""
        for name in ("if-modified-since", "if-unmodified-since"):
            for date in (BEFORE, AFTER):
                self.assertEqual(verdict({name: date}, Validators('"v2"')), 200)

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_any_text(self, tags: str, date: str) -> None:
        """Whatever stands in the headers, there is a verdict."""
        for name in ("if-match", "if-none-match"):
            headers = {name: tags, "if-modified-since": date}
            self.assertIn(verdict(headers, CURRENT), (200, 304, 412))
        since = {"if-unmodified-since": date}
        self.assertIn(verdict(since, CURRENT), (200, 412))


class IfRangeTests(SynchronousTestCase):
    """Whether a client may complete what it has."""

    def test_table(self) -> None:
        """A part is only good for the very same version, compared strongly."""
        rows = [
            (None, True),
            ('"v2"', True),
            ('W/"v2"', False),
            ('"v1"', False),
            (SAME, True),
            (BEFORE, False),
            (AFTER, False),
        ]
        for value, applies in rows:
            headers = {} if value is None else {"if-range": value}
            self.assertEqual(ranges_apply(headers, CURRENT), applies, value)


class HeaderTests(SynchronousTestCase):
    """What clients are told."""

    def test_headers(self) -> None:
        """The tag always, the date if there is one."""
        self.assertEqual(CURRENT.headers(), (("ETag", '"v2"'), ("Last-Modified", SAME)))
        self.assertEqual(Validators('"v2"').headers(), (("ETag", '"v2"'),))
