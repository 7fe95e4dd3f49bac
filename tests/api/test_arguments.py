"""What a client sends becomes keyword arguments: query < form < JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
from hypothesis import given, strategies as st
from msgspec import UNSET
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.arguments import Arguments, read_arguments
from tbtwist.api.bodies import FORM, BodyLimits, BodyReader
from tbtwist.api.request import Request
from tbtwist.apps.uploads import UploadFolder
from tbtwist.errors import Refused

JSON = "application/json"
MAX_FIELDS = 1000
fields = st.dictionaries(
    st.text(max_size=5), st.text(max_size=5) | st.lists(st.text(max_size=5), min_size=2)
)


LIMITS = BodyLimits(max_body_bytes=1_000_000)


def read(query: str = "", body: bytes = b"", kind: str = "") -> Arguments:
    """Read a POST's arguments."""
    headers = {"content-type": kind} if kind else {}
    head = Request("POST", "/api/M/f", query=query, headers=headers)
    reader = BodyReader(head, LIMITS, UploadFolder(Path("nowhere")))
    reader.feed(body)
    return read_arguments(attrs.evolve(head, parsed=reader.finish()), MAX_FIELDS)


class FieldTests(SynchronousTestCase):
    """Query and form."""

    @given(fields)
    def test_query_and_form_read_alike(self, sent: dict[str, Any]) -> None:
        """One value is text, several are a list, blanks are kept."""
        text = urlencode(sent, doseq=True)
        self.assertEqual(read(query=text).as_kwargs(), sent)
        self.assertEqual(read(body=text.encode(), kind=FORM).as_kwargs(), sent)

    def test_form_with_parameters_in_its_type(self) -> None:
        """A charset beside the content type does not hide the form."""
        got = read(body=b"a=%C3%A4", kind=f"{FORM.upper()}; charset=utf-8")
        self.assertEqual(got.form, {"a": "ä"})

    def test_too_many_fields(self) -> None:
        """A flood of fields is 400, not work."""
        flood = "&".join(["a=1"] * (MAX_FIELDS + 1))
        error = self.assertRaises(Refused, read, query=flood)
        self.assertEqual((error.status, "query" in error.message), (400, True))
        error = self.assertRaises(Refused, read, body=flood.encode(), kind=FORM)
        self.assertEqual((error.status, "form" in error.message), (400, True))

    def test_not_utf8(self) -> None:
        """Bytes that are no text do not stop a call."""
        self.assertEqual(read(query="a=%FF").query, {"a": "\ufffd"})


class JsonTests(SynchronousTestCase):
    """JSON bodies."""

    def test_precedence(self) -> None:
        """A JSON key wins over the query; the rest of the query stays."""
        got = read("a=1&b=2", b'{"b":3,"c":[4]}', JSON)
        self.assertEqual(got.as_kwargs(), {"a": "1", "b": 3, "c": [4]})

    def test_form_wins_over_query(self) -> None:
        """A form field wins over a query parameter of the same name."""
        self.assertEqual(read("a=1", b"a=2", FORM).as_kwargs(), {"a": "2"})

    @given(st.lists(st.integers()) | st.integers() | st.text() | st.none())
    def test_only_objects_name_arguments(self, value: Any) -> None:
        """A list or a number names no argument, and is no error."""
        got = read("a=1", json.dumps(value).encode(), JSON)
        self.assertEqual((got.as_kwargs(), got.json), ({"a": "1"}, value))

    def test_kinds(self) -> None:
        """+json types count as JSON; other bodies are not looked into."""
        for kind in (JSON, "APPLICATION/JSON; charset=utf-8", "application/ld+json"):
            self.assertEqual(read(body=b'{"a":1}', kind=kind).as_kwargs(), {"a": 1})
        for kind in ("", "text/plain", "application/jsonx"):
            self.assertEqual(read(body=b'{"a":', kind=kind).as_kwargs(), {})

    def test_empty(self) -> None:
        """Clients that always say JSON may send nothing."""
        self.assertEqual(read(body=b" \n", kind=JSON), Arguments({}, {}, UNSET, {}))

    def test_malformed_names_the_position(self) -> None:
        """Broken JSON is 400 and says where it breaks."""
        rows = [
            (b'{"a" 1}', "byte 5"),
            (b'{"a":', "byte 5"),
            (b"[1,]", "byte 3"),
            (b'{"a":"\xff"}', "byte 6"),
            (b"[" * 100_000, ""),
        ]
        for body, where in rows:
            error = self.assertRaises(Refused, read, body=body, kind=JSON)
            self.assertEqual(error.status, 400)
            self.assertIn(where, error.message)
            self.assertIn("JSON", error.message)

    @given(st.binary(max_size=50))
    def test_any_bytes(self, body: bytes) -> None:
        """Whatever stands in a JSON body, it is read or refused with 400."""
        try:
            read(body=body, kind=JSON)
        except Refused as error:
            self.assertEqual(error.status, 400)
