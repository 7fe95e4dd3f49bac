"""``multipart/form-data``, read as it comes (RFC 7578)."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import multipart

from tbtwist.api.request import ParsedBody
from tbtwist.apps.uploads import Spool, UploadedFile, UploadFolder
from tbtwist.errors import Refused

T = TypeVar("T")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BINARY: Final = "application/octet-stream"


class MultipartReader:
    """Sorts parts into fields, in memory, and files, which may be on disk."""

    def __init__(
        self,
        boundary: str,
        folder: UploadFolder,
        *,
        max_parts: int,
        max_field_bytes: int,
        max_header_bytes: int,
        memory_bytes: int,
    ) -> None:
        self._parser = _parser(boundary, max_parts, max_header_bytes)
        self._folder = folder
        self._max_field_bytes = max_field_bytes
        self._memory_bytes = memory_bytes
        self._fields: list[tuple[str, str]] = []
        self._files: list[UploadedFile] = []
        self._part: multipart.MultipartSegment | None = None
        self._field = bytearray()
        self._spool: Spool | None = None

    def feed(self, data: bytes) -> None:
        """Take the next piece; `Refused` with 400 or 413."""
        if not data:
            return
        try:
            for event in self._parser.parse(data):
                self._handle(event)
        except multipart.MultipartError as error:
            raise _refused(error) from error

    def finish(self) -> ParsedBody:
        """Return the body; `Refused` with 400 if it is not complete."""
        try:
            self._parser.close()
        except multipart.MultipartError as error:
            raise _refused(error) from error
        named = [(file.field_name, file) for file in self._files]
        return ParsedBody(form=_grouped(self._fields), files=_grouped(named))

    def discard(self) -> None:
        """Remove the files."""
        if self._spool is not None:
            self._spool.discard()
        for file in self._files:
            file.discard()

    def _handle(self, event: multipart.MultipartSegment | bytes | None) -> None:
        if isinstance(event, multipart.MultipartSegment):
            self._begin(event)
        elif event is None:
            self._end()
        elif self._spool is not None:
            self._spool.write(event)
        else:
            self._add(event)

    def _begin(self, part: multipart.MultipartSegment) -> None:
        if not part.name:
            raise Refused(400, "A part of the form has no name")
        self._part = part
        self._field = bytearray()
        if part.filename is not None:
            self._spool = Spool(self._folder, self._memory_bytes)

    def _add(self, data: bytes) -> None:
        if len(self._field) + len(data) > self._max_field_bytes:
            assert self._part is not None
            limit = self._max_field_bytes
            name = self._part.name
            raise Refused(413, f"The field {name!r} is larger than {limit} bytes")
        self._field += data

    def _end(self) -> None:
        part, spool = self._part, self._spool
        assert part is not None
        name = part.name or ""
        self._part = self._spool = None
        if spool is None:
            self._fields.append((name, self._field.decode("utf-8", "replace")))
            return
        spool.finish()
        if part.filename or spool.size:  # else: no file was chosen
            file_name = _plain(part.filename or "")
            kind = part.content_type or _BINARY
            self._files.append(UploadedFile(file_name, kind, name, spool))


def _parser(
    boundary: str, max_parts: int, max_header_bytes: int
) -> multipart.PushMultipartParser:
    if not 0 < len(boundary) <= 200:
        raise Refused(400, "The form has no usable boundary")
    try:
        return multipart.PushMultipartParser(
            boundary.encode("utf-8", "replace"),
            max_header_size=max_header_bytes,
            max_segment_count=max_parts,
        )
    except multipart.MultipartError as error:
        raise _refused(error) from error


def _refused(error: multipart.MultipartError) -> Refused:
    reason = str(error.args[0]) if error.args else "it cannot be read"
    if isinstance(error, multipart.ParserLimitReached):
        return Refused(413, f"The form is too large: {reason}")
    return Refused(400, f"The form is malformed: {reason}")


def _grouped(pairs: list[tuple[str, T]]) -> dict[str, Any]:
    """Return each name with its value, or with the list of its values."""
    found: dict[str, list[T]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {k: v[0] if len(v) == 1 else v for k, v in found.items()}


def _plain(filename: str) -> str:
    """Return a file name without folders, and none that means one."""
    name = _CONTROL.sub("", filename.replace("\\", "/")).rpartition("/")[2].strip()
    return "" if name in (".", "..") else name
