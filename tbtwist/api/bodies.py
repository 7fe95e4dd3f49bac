"""Request bodies, read piece by piece (contract §2).

JSON and urlencoded forms are collected and read at the end, multipart is read as
it comes (`tbtwist.api.forms`), anything else is kept as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import Message
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

import attrs
import msgspec
from typing_extensions import override

from tbtwist.api.forms import MultipartReader
from tbtwist.api.request import ParsedBody, Request
from tbtwist.apps.uploads import KIB64, UploadFolder
from tbtwist.config.schema import HttpWorker
from tbtwist.errors import Refused

__all__ = ["BodyLimits", "BodyReader", "ParsedBody", "too_large"]

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
FORMS: Final = frozenset({FORM, MULTIPART})
_LENGTH: Final = re.compile(r"[0-9]{1,18}\Z")


@attrs.frozen
class BodyLimits:
    """What a body may be at most."""

    max_body_bytes: int
    max_fields: int = 1000
    max_field_bytes: int = 1024 * 1024
    max_part_header_bytes: int = 8 * 1024
    memory_bytes: int = KIB64

    @classmethod
    def from_settings(cls, config: HttpWorker) -> BodyLimits:
        """Return the configured limits."""
        return cls(
            config.max_body_bytes,
            config.max_form_fields,
            config.max_field_bytes,
            config.max_part_header_bytes,
            config.upload_memory_bytes,
        )


class _Reader(Protocol):
    def feed(self, data: bytes) -> None:
        """Take the next piece."""

    def finish(self) -> ParsedBody:
        """Return the body."""

    def discard(self) -> None:
        """Remove what is on disk."""


class BodyReader:
    """Reads the body that belongs to ``head``.

    Everything raises `Refused` as soon as it knows, this constructor too: 413
    for what is too large, 415 for what cannot be read, 400 for what is broken.
    What is on disk then has been removed; `discard` is for a client that leaves.
    """

    def __init__(self, head: Request, limits: BodyLimits, folder: UploadFolder) -> None:
        _check_head(head.headers, limits)
        self._limits = limits
        self._received = 0
        self._reader = _reader_for(head, limits, folder)

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        self._received += len(data)
        if self._received > self._limits.max_body_bytes:
            self.discard()
            raise too_large(self._limits.max_body_bytes)
        try:
            self._reader.feed(data)
        except BaseException:
            self.discard()
            raise

    def finish(self) -> ParsedBody:
        """Return the body; from now on its files are the caller's to close."""
        try:
            return self._reader.finish()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Forget the body; calling this twice is fine."""
        self._reader.discard()


def too_large(max_bytes: int) -> Refused:
    """Return what a body over the limit is answered with."""
    return Refused(413, f"The body is larger than {max_bytes} bytes")


def _check_head(headers: Mapping[str, str], limits: BodyLimits) -> None:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        accept = (("Accept-Encoding", "identity"),)
        raise Refused(
            415, f"Bodies with content coding {coding!r} are not read", accept
        )
    length = headers.get("content-length", "0")
    if not _LENGTH.match(length):
        raise Refused(400, "Content-Length is not a number")
    if int(length) > limits.max_body_bytes:
        raise too_large(limits.max_body_bytes)


def _reader_for(head: Request, limits: BodyLimits, folder: UploadFolder) -> _Reader:
    kind = head.content_type
    if kind == MULTIPART:
        boundary = _parameter(head, "boundary")
        return MultipartReader(
            boundary,
            folder,
            max_parts=limits.max_fields,
            max_field_bytes=limits.max_field_bytes,
            max_header_bytes=limits.max_part_header_bytes,
            memory_bytes=limits.memory_bytes,
        )
    if _is_json(kind):
        if _parameter(head, "charset", "utf-8").lower() not in ("utf-8", "utf8"):
            raise Refused(415, "JSON is read as UTF-8 only")
        return _JsonReader()
    return _FormReader(limits) if kind == FORM else _RawReader()


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _parameter(head: Request, name: str, default: str = "") -> str:
    """Return a parameter of the content type (RFC 9110 §8.3.1)."""
    message = Message()
    message["content-type"] = head.headers.get("content-type", "")
    return str(message.get_param(name, default))


class _RawReader:
    """Keeps the body as it is."""

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        self._body += data

    def finish(self) -> ParsedBody:
        return ParsedBody(raw=bytes(self._body))

    def discard(self) -> None:
        self._body.clear()


class _JsonReader(_RawReader):
    @override
    def finish(self) -> ParsedBody:
        raw = bytes(self._body)
        return ParsedBody(raw=raw, json=_json(raw) if raw.strip() else msgspec.UNSET)


class _FormReader(_RawReader):
    def __init__(self, limits: BodyLimits) -> None:
        super().__init__()
        self._limits = limits

    @override
    def finish(self) -> ParsedBody:
        raw = bytes(self._body)
        text = raw.decode("utf-8", "replace")
        return ParsedBody(
            raw=raw, form=read_fields(text, "form", self._limits.max_fields)
        )


def read_fields(text: str, what: str, max_fields: int) -> dict[str, Any]:
    """Return each name with its value, or with the list of its values.

    Raises:
        Refused: 400, there are too many.
    """
    try:
        parsed = parse_qs(
            text, keep_blank_values=True, max_num_fields=max_fields, errors="replace"
        )
    except ValueError as error:
        message = f"The {what} has more than {max_fields} fields"
        raise Refused(400, message) from error
    return {k: v[0] if len(v) == 1 else v for k, v in parsed.items()}


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        message = f"The JSON is not UTF-8 (byte {error.start})"
        raise Refused(400, message) from error
    except RecursionError as error:
        raise Refused(400, "The JSON is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise Refused(400, _where(str(error), len(body))) from error


def _where(reason: str, length: int) -> str:
    """Return a sentence that names the position also when the decoder does not."""
    reason = reason.removeprefix("JSON is malformed: ")
    position = "" if "(byte " in reason else f" (byte {length})"
    return f"The JSON is malformed: {reason}{position}"
