"""Request bodies: every kind, in any pieces, within limits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
from hypothesis import given, settings as run_with, strategies as st
from msgspec import UNSET
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.bodies import BodyLimits, BodyReader
from tbtwist.api.request import ParsedBody, Request
from tbtwist.apps.uploads import UploadedFile, UploadFolder
from tbtwist.config.schema import HttpWorker
from tbtwist.errors import Refused

LIMITS = BodyLimits(
    max_body_bytes=200_000,
    max_fields=20,
    max_field_bytes=1000,
    max_part_header_bytes=300,
    memory_bytes=100,
)
FORM_DATA = "multipart/form-data; boundary=XX"
name = st.text(
    st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=6
)


@attrs.frozen
class Part:
    """One part of a form, as a browser would send it."""

    name: str
    content: bytes
    filename: str | None = None
    kind: str = "text/x-test"

    def encoded(self) -> bytes:
        """Return the part with the boundary before it."""
        disposition = f'Content-Disposition: form-data; name="{self.name}"'
        kind = ""
        if self.filename is not None:
            disposition += f'; filename="{self.filename}"'
            kind = f"Content-Type: {self.kind}\r\n"
        head = f"--XX\r\n{disposition}\r\n{kind}\r\n"
        return head.encode() + self.content + b"\r\n"


def form(*parts: Part) -> bytes:
    """Return a whole form."""
    return b"".join(part.encoded() for part in parts) + b"--XX--\r\n"


class BodyTestCase(SynchronousTestCase):
    """Reads bodies, with a folder for uploads."""

    def setUp(self) -> None:
        """Make the folder."""
        self.root = Path(self.mktemp()).absolute()
        self.folder = UploadFolder(self.root)
        self.addCleanup(self.folder.close)

    def reader(self, kind: str, limits: BodyLimits = LIMITS) -> BodyReader:
        """Return a reader for a body of this type."""
        return self.reader_of({"content-type": kind} if kind else {}, limits)

    def reader_of(
        self, headers: dict[str, str], limits: BodyLimits = LIMITS
    ) -> BodyReader:
        """Return a reader for a body with these headers."""
        head = Request("POST", "/api/M/f", headers=headers)
        return BodyReader(head, limits, self.folder)

    def read(
        self, kind: str, *pieces: bytes, limits: BodyLimits = LIMITS
    ) -> ParsedBody:
        """Return a body that comes in pieces."""
        reader = self.reader(kind, limits)
        for piece in pieces:
            reader.feed(piece)
        parsed = reader.finish()
        self.addCleanup(parsed.close)
        return parsed

    def refused(
        self, kind: str, *pieces: bytes, limits: BodyLimits = LIMITS
    ) -> Refused:
        """Return why a body is refused; nothing of it stays on disk."""
        error = self.assertRaises(Refused, self.read, kind, *pieces, limits=limits)
        self.assertEqual(self.on_disk(), [])
        assert isinstance(error, Refused)
        return error

    def on_disk(self) -> list[Path]:
        """Return the uploads on disk."""
        return list(self.root.glob("*/*")) if self.root.exists() else []


class KindTests(BodyTestCase):
    """What a content type means."""

    def test_json(self) -> None:
        """JSON is read; the bytes are there as well."""
        for kind in ("application/json", "application/ld+json; charset=UTF-8"):
            parsed = self.read(kind, b'{"a":', b"1}")
            self.assertEqual((parsed.json, parsed.raw), ({"a": 1}, b'{"a":1}'))

    def test_json_that_is_null(self) -> None:
        """JSON's null is a value; an empty body is none."""
        self.assertIsNone(self.read("application/json", b"null").json)
        self.assertIs(self.read("application/json").json, UNSET)

    def test_json_in_another_charset(self) -> None:
        """JSON is UTF-8; another charset is 415, before a byte of it."""
        error = self.assertRaises(
            Refused, self.reader, "application/json; charset=latin-1"
        )
        self.assertEqual(error.status, 415)

    def test_unknown(self) -> None:
        """What we do not know is kept as it is, for the function."""
        for kind in ("", "text/plain", "application/x-own", "multipart/mixed"):
            parsed = self.read(kind, b'{"a":', b"\xff")
            self.assertEqual(parsed.raw, b'{"a":\xff')
            self.assertEqual((parsed.form, parsed.files), ({}, {}))
            self.assertIs(parsed.json, UNSET)

    def test_codings(self) -> None:
        """A compressed body is 415 and says what is read."""
        for coding in ("gzip", "br", "gzip, identity"):
            with self.assertRaises(Refused) as caught:
                self.reader_of({"content-encoding": coding})
            self.assertEqual(caught.exception.status, 415)
            self.assertEqual(
                caught.exception.headers, (("Accept-Encoding", "identity"),)
            )
        self.reader_of({"content-encoding": "Identity"})

    @given(
        st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=9), st.data()
    )
    def test_pieces(self, fields: dict[str, str], data: st.DataObject) -> None:
        """How a body is cut into pieces makes no difference."""
        rows = [
            ("application/x-www-form-urlencoded", urlencode(fields).encode()),
            ("application/json", json.dumps(fields).encode()),
        ]
        for kind, body in rows:
            cut = data.draw(st.integers(0, len(body)))
            parsed = self.read(kind, body[:cut], body[cut:])
            self.assertEqual(fields, parsed.json if "json" in kind else parsed.form)


class LimitTests(BodyTestCase):
    """How much is too much."""

    def test_announced(self) -> None:
        """An announced length over the limit is 413 before a byte is read."""
        with self.assertRaises(Refused) as caught:
            self.reader_of({"content-length": "200001"})
        self.assertEqual(caught.exception.status, 413)
        self.reader_of({"content-length": "200000"})

    def test_counted(self) -> None:
        """A body without a length is counted, whatever it is."""
        small = attrs.evolve(LIMITS, max_body_bytes=100)
        part = Part("a", b"x" * 200, "a").encoded()
        rows = [
            ("text/plain", b"x" * 101),
            (FORM_DATA, part),
            ("application/json", b" " * 101),
        ]
        for kind, body in rows:
            cut = len(body) // 2
            error = self.refused(kind, body[:cut], body[cut:], limits=small)
            self.assertEqual(error.status, 413)

    def test_form(self) -> None:
        """Parts, fields and the headers of parts have limits of their own."""
        rows = [
            (413, form(*[Part("a", b"")] * 21)),
            (413, form(Part("a", b"x" * 1001))),
            (413, form(Part("a" * 400, b""))),
            (400, form(Part("", b""))),
            (400, b"--XX--"[:-1]),
            (400, b"--XX\r\nX: y\r\n\r\n\r\n--XX--"),
            (400, form(Part("a", b"x", "a"))[:-10]),
            (
                400,
                b"--XX\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\r\n--XX--",
            ),
            (400, b""),
        ]
        for status, body in rows:
            self.assertEqual(self.refused(FORM_DATA, body).status, status, body[:50])

    def test_boundary(self) -> None:
        """A form without a boundary is 400."""
        for kind in (
            "multipart/form-data",
            "multipart/form-data; boundary=" + "x" * 201,
        ):
            error = self.assertRaises(Refused, self.reader, kind)
            self.assertEqual(error.status, 400)

    def test_files_are_no_fields(self) -> None:
        """The limit of fields does not hold for files."""
        parsed = self.read(FORM_DATA, form(Part("a", b"x" * 5000, "a")))
        self.assertEqual(file_of(parsed, "a").size, 5000)

    def test_settings(self) -> None:
        """Every limit can be configured."""
        config = HttpWorker(
            max_body_bytes=1,
            max_form_fields=2,
            max_field_bytes=3,
            max_part_header_bytes=4,
            upload_memory_bytes=5,
        )
        self.assertEqual(BodyLimits.from_settings(config), BodyLimits(1, 2, 3, 4, 5))


def file_of(parsed: ParsedBody, field: str) -> UploadedFile:
    """Return the one file of a field."""
    file = parsed.files[field]
    assert isinstance(file, UploadedFile)
    return file


def facts(parsed: ParsedBody) -> list[tuple[str, str, str, int, bytes]]:
    """Return all that can be known about the files."""
    found = []
    for value in parsed.files.values():
        files: Sequence[UploadedFile] = value if isinstance(value, list) else [value]
        found += [
            (f.field_name, f.filename, f.content_type, f.size, f.read()) for f in files
        ]
    return found


class FormTests(BodyTestCase):
    """multipart/form-data."""

    def test_fields_and_files(self) -> None:
        """Fields are text, files are files; several of a name are a list."""
        parsed = self.read(
            FORM_DATA,
            form(
                Part("a", "ä".encode()),
                Part("b", b"1"),
                Part("b", b"2"),
                Part("f", b"small", "a.txt"),
                Part("g", b"1", "1.txt"),
                Part("g", b"x" * 101, "2.txt"),
            ),
        )
        self.assertEqual(parsed.form, {"a": "ä", "b": ["1", "2"]})
        self.assertEqual(parsed.raw, b"")
        self.assertEqual(
            facts(parsed),
            [
                ("f", "a.txt", "text/x-test", 5, b"small"),
                ("g", "1.txt", "text/x-test", 1, b"1"),
                ("g", "2.txt", "text/x-test", 101, b"x" * 101),
            ],
        )

    def test_no_file_chosen(self) -> None:
        """A field for a file that is left empty is no file."""
        parsed = self.read(FORM_DATA, form(Part("f", b"", "")))
        self.assertEqual((parsed.files, parsed.form), ({}, {}))

    def test_names(self) -> None:
        """A file name never leads anywhere else."""
        rows = [
            ("a.txt", "a.txt"),
            ("/etc/passwd", "passwd"),
            ("../../x", "x"),
            ("C:\\temp\\x", "x"),
            ("..", ""),
            ("a%0D%0Ab", "ab"),
            ("ä€.txt", "ä€.txt"),
        ]
        for sent, got in rows:
            parsed = self.read(FORM_DATA, form(Part("f", b"x", sent)))
            self.assertEqual(file_of(parsed, "f").filename, got)

    @given(
        st.lists(
            st.builds(
                Part,
                name=name,
                content=st.binary(max_size=300),
                filename=st.none() | name,
            ),
            max_size=5,
        ),
        st.data(),
    )
    @run_with(deadline=None)
    def test_pieces(self, parts: list[Part], data: st.DataObject) -> None:
        """However a form is cut into pieces, it is the same form."""
        body = form(*parts)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
        edges = [0, *cuts, len(body)]
        pieces = [body[a:b] for a, b in pairwise(edges)]
        whole, cut = self.read(FORM_DATA, body), self.read(FORM_DATA, *pieces)
        self.assertEqual((whole.form, facts(whole)), (cut.form, facts(cut)))
        files = [p for p in parts if p.filename is not None]
        self.assertEqual(
            sorted(f[4] for f in facts(whole)), sorted(p.content for p in files)
        )
        whole.close()
        cut.close()
        self.assertEqual(self.on_disk(), [])

    @given(st.binary(max_size=200))
    @run_with(deadline=None)
    def test_any_bytes(self, body: bytes) -> None:
        """Whatever comes, it is read or refused, and nothing stays on disk."""
        try:
            self.read(FORM_DATA, b"--XX\r\n" + body).close()
        except Refused as error:
            self.assertIn(error.status, (400, 413))
        self.assertEqual(self.on_disk(), [])


class DiskTests(BodyTestCase):
    """Where uploads are, and for how long."""

    def test_large_files_only(self) -> None:
        """Up to the limit a file stays in memory, beyond it is on disk."""
        self.read(FORM_DATA, form(Part("f", b"x" * 100, "a")))
        self.assertEqual(self.on_disk(), [])
        parsed = self.read(FORM_DATA, form(Part("f", b"x" * 101, "a")))
        self.assertEqual(self.on_disk(), [file_of(parsed, "f").temp_path])

    def test_close(self) -> None:
        """Closed, a body leaves nothing; closing twice is fine."""
        many = [Part("f", b"x" * 200, "a"), Part("f", b"y" * 200, "b")]
        parsed = self.read(FORM_DATA, form(*many, Part("g", b"x" * 200, "a")))
        self.assertEqual(len(self.on_disk()), 3)
        parsed.close()
        parsed.close()
        self.assertEqual(self.on_disk(), [])

    def test_client_that_leaves(self) -> None:
        """A form that is never completed leaves nothing."""
        reader = self.reader(FORM_DATA)
        reader.feed(Part("f", b"x" * 200, "a").encoded())
        reader.feed(Part("g", b"x" * 200, "a").encoded()[:-50])
        self.assertEqual(len(self.on_disk()), 2)
        reader.discard()
        reader.discard()
        self.assertEqual(self.on_disk(), [])

    def test_full_disk(self) -> None:
        """When the disk is full, what was written is removed."""
        reader = self.reader(FORM_DATA)
        reader.feed(Part("f", b"x" * 200, "a").encoded())
        self.patch(UploadFolder, "new_path", _full)
        more = Part("g", b"x" * 200, "a").encoded()
        self.assertRaises(OSError, reader.feed, more)
        self.assertEqual(self.on_disk(), [])


def _full(_folder: Any) -> Path:
    raise OSError(28, "No space left on device")
