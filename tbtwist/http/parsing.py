r"""A request's head: bytes to a `Head`, or the reason why it is refused (RFC 9112).

httptools reads the fields. What it lets pass is checked here first: one space
between the parts of the first line, the version, CR LF as the only line end, no
control bytes (``\x85`` is one in latin-1), one Host, and one way to tell where
the body ends. Everything doubtful is 400: two programs that read the same bytes
differently are how requests are smuggled.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

import attrs
import httptools

from tbtwist.errors import Refused
from tbtwist.http.limits import Limits

Field = tuple[bytes, bytes]

_CONTROL: Final = bytes(
    set(range(256)) - set(range(0x20)) - {0x7F, 0x85} | {0x09, 0x0A, 0x0D}
)
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]\Z")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+\Z")
_ABSOLUTE: Final = re.compile(rb"(?i)https?://([^/?#]+)([^#]*)")
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%-]*)(:[0-9]*)?\Z")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}\Z")
_LONE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
CHUNKED: Final = -1
"""The length of a body that comes in chunks."""


@attrs.define(eq=False)
class Head:
    """The head of a request that may be served.

    ``target`` is in origin form, or ``*``; ``raw_path`` and ``raw_query`` are its
    parts. Names in ``fields`` are in lower case,
    in the client's order. ``length`` is the body's, or `CHUNKED`.
    """

    method: str
    target: bytes
    version: bytes
    fields: list[Field]
    length: int = 0
    keep_alive: bool = True
    expects_continue: bool = False
    raw_path: bytes = b""
    raw_query: bytes = b""

    @property
    def path(self) -> str:
        """Return the path, percent-decoded once; empty if it is not UTF-8."""
        raw = self.raw_path
        try:
            return (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
        except UnicodeDecodeError:
            return ""

    @property
    def route(self) -> str:
        """Return the path for choosing who answers; never empty."""
        return unquote(self.raw_path.decode("ascii"))

    @property
    def query(self) -> str:
        """Return what follows the question mark, as it came."""
        return self.raw_query.decode("ascii")

    def headers(self) -> dict[str, str]:
        """Return the fields by name; what came twice is joined (RFC 9110 §5.3)."""
        found: dict[str, str] = {}
        for raw_name, raw_value in self.fields:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            if name in found:
                comma = "; " if name == "cookie" else ","
                value = f"{found[name]}{comma}{value}"
            found[name] = value
        return found


def _bad(message: str) -> Refused:
    return Refused(400, message)


class _Fields:
    """Collects what httptools finds. Names with ``_`` are dropped.

    In a WSGI environ ``X_Forwarded_For`` would be X-Forwarded-For.
    """

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[Field] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if b"_" not in name:
            self.found.append((name.lower(), value.rstrip(b" \t")))


def check_unfinished(received: bytes | bytearray, limits: Limits, start: int) -> None:
    """Refuse a head that can only get worse; ``start``: checked up to there.

    Raises:
        Refused: 400, 414 or 431.
    """
    if _LONE.search(received, max(start - 1, 0)):
        raise _bad("Lines end with CR LF")
    if received.find(b"\r\n", 0, limits.request_line_bytes + 2) < 0:
        if len(received) > limits.request_line_bytes:
            raise _too_long(limits)
    elif len(received) > limits.head_bytes:
        raise _too_many(limits)


def _too_long(limits: Limits) -> Refused:
    most = limits.request_line_bytes
    return Refused(414, f"The request line is longer than {most} bytes")


def _too_many(limits: Limits) -> Refused:
    message = f"More than {limits.headers} headers or {limits.header_bytes} bytes"
    return Refused(431, message)


def read_head(raw: bytes, limits: Limits) -> Head:
    """Return the head in ``raw``, which ends with its empty line.

    Raises:
        Refused: 400, 414, 431, 501 or 505.
    """
    line_end = raw.find(b"\r\n")
    if line_end > limits.request_line_bytes:
        raise _too_long(limits)
    lines = raw.count(b"\r\n")
    if lines - 2 > limits.headers or len(raw) - line_end - 4 > limits.header_bytes:
        raise _too_many(limits)
    if raw.translate(None, _CONTROL):
        raise _bad("There is a control character in the head")
    if not lines == raw.count(b"\n") == raw.count(b"\r"):
        raise _bad("Lines end with CR LF")
    method, target, version = _request_line(raw[:line_end])
    fields = _fields(raw)
    head = Head(method.decode("ascii"), target, version, fields)
    _interpret(head)
    return head


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise _bad("The request line is not METHOD TARGET VERSION")
    method, target, version = parts
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        if _VERSION.match(version):
            raise Refused(505, "HTTP/1.1 and HTTP/1.0 are spoken here")
        raise _bad("The request line has no HTTP version")
    if not _TOKEN.match(method):
        raise _bad("The method is not a word")
    if not _TARGET.match(target):
        raise _bad("The target has characters that must be percent-encoded")
    return method, target, version


def _fields(raw: bytes) -> list[Field]:
    collected = _Fields()
    try:
        httptools.HttpRequestParser(collected).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # an offer that we do not take up (RFC 9110 §7.8)
    except httptools.HttpParserInvalidMethodError as error:
        raise Refused(501, "This method is not known here") from error
    except httptools.HttpParserError as error:
        raise _bad("The request cannot be read") from error
    return collected.found


def _interpret(head: Head) -> None:
    """Read the fields that are about the message itself."""
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    connection = b""
    for name, value in head.fields:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value.lower())
        elif name == b"connection":
            connection += b"," + value.lower()
        elif name == b"expect":
            _read_expect(head, value.lower())
    _read_connection(head, connection)
    if not head.target.startswith(b"/"):
        hosts = _read_other_form(head, hosts)
    head.raw_path, _, head.raw_query = head.target.partition(b"?")
    _check_host(head, hosts)
    _read_length(head, lengths, codings)


def _read_expect(head: Head, value: bytes) -> None:
    if value != b"100-continue":
        raise Refused(417, "Only 100-continue can be expected")
    head.expects_continue = head.version == b"HTTP/1.1"


def _read_connection(head: Head, connection: bytes) -> None:
    head.keep_alive = head.version == b"HTTP/1.1"
    if connection:
        options = {option.strip() for option in connection.split(b",")}
        if not head.keep_alive:
            head.keep_alive = b"keep-alive" in options
        if b"close" in options:
            head.keep_alive = False


def _read_other_form(head: Head, hosts: list[bytes]) -> list[bytes]:
    """Bring the target into origin form (RFC 9112 §3.2); return the hosts."""
    if head.method == "CONNECT":
        raise Refused(501, "This is no proxy")
    if head.target == b"*" and head.method == "OPTIONS":
        return hosts
    found = _ABSOLUTE.match(head.target)
    if found is None:
        raise _bad("The target is not a path")
    host, rest = found[1], found[2]
    head.target = rest if rest.startswith(b"/") else b"/" + rest
    head.fields = [
        (name, host if name == b"host" else value) for name, value in head.fields
    ]
    return [host] * len(hosts)


def _check_host(head: Head, hosts: list[bytes]) -> None:
    if len(hosts) > 1 or (not hosts and head.version == b"HTTP/1.1"):
        raise _bad("There must be one Host header")
    if hosts and not _HOST.match(hosts[0]):
        raise _bad("The Host header is not a host")


def _read_length(head: Head, lengths: list[bytes], codings: list[bytes]) -> None:
    if codings:
        if lengths or len(codings) > 1 or head.version == b"HTTP/1.0":
            raise _bad("The length of the body is ambiguous")
        if codings[0] != b"chunked":
            raise Refused(501, "Of transfer codings, only chunked is read")
        head.length = CHUNKED
    elif lengths:
        if len(lengths) > 1 or not _LENGTH.match(lengths[0]):
            raise _bad("Content-Length is not one number")
        head.length = int(lengths[0])
