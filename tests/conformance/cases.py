"""The table: bytes in, and what must come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from tests.api.core import cookie_of


@attrs.frozen(kw_only=True)
class Case:
    """What is sent on a new connection, and what comes back.

    ``says`` is in the last answer's body, ``has`` among its headers. Where
    ``closes`` is false the connection must be usable afterwards; None: it depends on
    when the body was looked at. ``elsewhere``:
    any other good server answers with the same statuses and bodies.
    """

    name: str
    sent: bytes
    statuses: tuple[int, ...]
    says: bytes = b""
    has: Mapping[str, str | None] = attrs.Factory(dict)
    closes: bool | None = False
    heads: tuple[int, ...] = ()
    elsewhere: bool = False


def ask(
    method: str,
    target: str,
    *fields: str,
    body: bytes = b"",
    version: str = "1.1",
    host: str = "Host: localhost",
) -> bytes:
    """Return a request; a body gets its length."""
    lines = [f"{method} {target} HTTP/{version}", host, *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(line for line in lines if line)
    return head.encode("latin-1") + b"\r\n\r\n" + body


JSON: Final = "Content-Type: application/json"
CHUNKED: Final = "Transfer-Encoding: chunked"
ECHO: Final = "/api/Open/echo"
PING: Final = ask("GET", "/api/Open/add?a=1")


def _of(*cases: Case) -> tuple[Case, ...]:
    return cases


PLAIN: Final = _of(
    Case(name="a call", sent=PING, statuses=(200,), says=b'"data":2', elsewhere=True),
    Case(name="health", sent=ask("GET", "/health"), statuses=(200,), says=b"healthy"),
    Case(
        name="HEAD",
        sent=ask("HEAD", "/api/Open/add?a=1"),
        statuses=(200,),
        heads=(0,),
        has={"content-type": "application/json"},
        elsewhere=True,
    ),
    Case(
        name="HEAD of nothing",
        sent=ask("HEAD", "/nothing"),
        statuses=(404,),
        heads=(0,),
    ),
    Case(
        name="no function",
        sent=ask("GET", "/api/Open/nope"),
        statuses=(404,),
        elsewhere=True,
    ),
    Case(name="no such page", sent=ask("GET", "/nope"), statuses=(404,)),
    Case(
        name="wrong method",
        sent=ask("GET", "/api/Open/only/put"),
        statuses=(405,),
        has={"allow": "PUT"},
        elsewhere=True,
    ),
    Case(
        name="unauthorized",
        sent=ask("GET", "/api/Closed/mine"),
        statuses=(401,),
        elsewhere=True,
    ),
    Case(
        name="with a session",
        sent=ask("GET", "/api/Closed/mine", f"Cookie: {cookie_of()}"),
        statuses=(200,),
        says=b"yours",
        elsewhere=True,
    ),
    Case(
        name="two cookie headers are one",
        sent=ask("GET", "/api/Closed/mine", "Cookie: a=b", f"Cookie: {cookie_of()}"),
        statuses=(200,),
        says=b"yours",
    ),
    Case(
        name="percent-encoding",
        sent=ask("PUT", "/api/Open/only%2Fput"),
        statuses=(200,),
        elsewhere=True,
    ),
    Case(
        name="decoded once",
        sent=ask("GET", "/api/Open/ad%2564?a=1"),
        statuses=(404,),
        elsewhere=True,
    ),
    Case(
        name="not UTF-8", sent=ask("GET", "/api/%FF/x"), statuses=(400,), elsewhere=True
    ),
    Case(name="beside the API", sent=ask("GET", "/apiX/Open/add"), statuses=(404,)),
    Case(
        name="query in UTF-8",
        sent=ask("GET", f"{ECHO}?a=%C3%A4"),
        statuses=(200,),
        says="ä".encode(),
        elsewhere=True,
    ),
    Case(
        name="request id",
        sent=ask("GET", "/health", "X-Request-ID: r-7"),
        statuses=(200,),
        has={"x-request-id": "r-7", "server": "tbtwist"},
    ),
    Case(name="an empty line before", sent=b"\r\n" + PING, statuses=(200,)),
    Case(
        name="underscores do not count",
        sent=ask("GET", "/api/ip", "X_Forwarded_For: 6.6.6.6"),
        statuses=(200,),
        says=b'{"ip":"',
    ),
    Case(name="unknown method", sent=ask("BREW", "/"), statuses=(501,), closes=True),
    Case(
        name="CONNECT", sent=ask("CONNECT", "localhost:1"), statuses=(501,), closes=True
    ),
)

TARGETS: Final = _of(
    Case(
        name="absolute form",
        sent=ask("GET", "http://localhost/api/Open/add?a=1"),
        statuses=(200,),
        says=b'"data":2',
    ),
    Case(
        name="absolute form without a path",
        sent=ask("GET", "http://localhost"),
        statuses=(404,),
    ),
    Case(
        name="absolute form for somebody",
        sent=ask("GET", "http://user@localhost/"),
        statuses=(400,),
        closes=True,
    ),
    Case(
        name="another scheme",
        sent=ask("GET", "gopher://localhost/"),
        statuses=(400,),
        closes=True,
    ),
    Case(name="OPTIONS *", sent=ask("OPTIONS", "*"), statuses=(204,)),
    Case(name="GET *", sent=ask("GET", "*"), statuses=(400,), closes=True),
    Case(name="no slash", sent=ask("GET", "api"), statuses=(400,), closes=True),
    Case(
        name="raw bytes",
        sent=b"GET /\xe4 HTTP/1.1\r\nHost: x\r\n\r\n",
        statuses=(400,),
        closes=True,
    ),
    Case(
        name="preflight",
        sent=ask(
            "OPTIONS",
            ECHO,
            "Origin: http://localhost:3000",
            "Access-Control-Request-Method: POST",
        ),
        statuses=(204,),
        has={
            "access-control-allow-origin": "http://localhost:3000",
            "content-length": None,
        },
        elsewhere=True,
    ),
)

BODIES: Final = _of(
    Case(
        name="JSON",
        sent=ask("POST", ECHO, JSON, body=b'{"a":1}'),
        statuses=(200,),
        says=b'{"a":1}',
        elsewhere=True,
    ),
    Case(
        name="broken JSON",
        sent=ask("POST", ECHO, JSON, body=b'{"a"'),
        statuses=(400,),
        elsewhere=True,
    ),
    Case(
        name="a form",
        sent=ask(
            "POST",
            ECHO,
            "Content-Type: application/x-www-form-urlencoded",
            body=b"a=1&a=2",
        ),
        statuses=(200,),
        says=b'["1","2"]',
        elsewhere=True,
    ),
    Case(
        name="empty body",
        sent=ask("POST", ECHO, "Content-Length: 0"),
        statuses=(200,),
        elsewhere=True,
    ),
    Case(
        name="a body nobody reads",
        sent=ask("GET", "/health", body=b"xyz"),
        statuses=(200,),
    ),
    Case(
        name="chunks",
        sent=ask("POST", ECHO, JSON, CHUNKED) + b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n',
        statuses=(200,),
        says=b'{"a":1}',
        elsewhere=True,
    ),
    Case(
        name="chunks, extensions, trailers",
        sent=ask("POST", ECHO, JSON, CHUNKED)
        + b'7;a=b\r\n{"a":1}\r\n0\r\nX-T: 1\r\n\r\n',
        statuses=(200,),
        says=b'{"a":1}',
        elsewhere=True,
    ),
    Case(
        name="no chunk at all",
        sent=ask("POST", ECHO, CHUNKED) + b"0\r\n\r\n",
        statuses=(200,),
        elsewhere=True,
    ),
    Case(
        name="trailers do not become headers",
        sent=ask("POST", "/api/Open/who", CHUNKED, "User-Agent: me")
        + b"0\r\nUser-Agent: smuggler\r\n\r\n",
        statuses=(200,),
        says=b'"agent":"me"',
    ),
    Case(
        name="go ahead",
        sent=ask("POST", ECHO, "Expect: 100-continue", "Content-Length: 2"),
        statuses=(100,),
        closes=True,
    ),
    Case(
        name="go ahead was not needed",
        sent=ask("POST", ECHO, JSON, "Expect: 100-continue", body=b"{}"),
        statuses=(200,),
    ),
    Case(
        name="nothing to go ahead with",
        sent=ask("GET", "/health", "Expect: 100-continue"),
        statuses=(200,),
    ),
    Case(
        name="no go-ahead for 1.0",
        sent=ask("POST", ECHO, JSON, "Expect: 100-continue", body=b"{}", version="1.0"),
        statuses=(200,),
        closes=True,
    ),
    Case(
        name="other expectations",
        sent=ask("GET", "/health", "Expect: miracles"),
        statuses=(417,),
        closes=True,
    ),
    Case(
        name="too large",
        sent=ask("POST", ECHO, f"Content-Length: {2**30}"),
        statuses=(413,),
        says=b"PayloadTooLarge",
        closes=True,
    ),
    Case(
        name="too large, no go-ahead",
        sent=ask("POST", ECHO, "Expect: 100-continue", f"Content-Length: {2**30}"),
        statuses=(413,),
        closes=True,
    ),
    Case(
        name="absurdly large",
        sent=ask("POST", ECHO, "Content-Length: 99999999999999999999"),
        statuses=(400,),
        closes=True,
    ),
    Case(
        name="large chunk",
        sent=ask("POST", ECHO, CHUNKED) + b"FFFFFFFFFFFFFFFF\r\n",
        statuses=(400,),
        closes=True,
    ),
    Case(
        name="compressed",
        sent=ask("POST", ECHO, "Content-Encoding: gzip", body=b"xx"),
        statuses=(415,),
        closes=None,
    ),
)

CONNECTIONS: Final = _of(
    Case(name="pipelined", sent=PING * 3, statuses=(200, 200, 200), elsewhere=True),
    Case(name="many pipelined", sent=PING * 100, statuses=(200,) * 100),
    Case(
        name="pipelined with bodies",
        sent=ask("POST", ECHO, JSON, body=b"{}") * 2 + PING,
        statuses=(200,) * 3,
        says=b'"data":2',
        elsewhere=True,
    ),
    Case(
        name="pipelined, one is wrong",
        sent=PING + b"nonsense\r\n\r\n" + PING,
        statuses=(200, 400),
        closes=True,
    ),
    Case(
        name="a wrong body does no harm",
        sent=ask("POST", ECHO, JSON, body=b"{") + PING,
        statuses=(400, 200),
    ),
    Case(
        name="close",
        sent=ask("GET", "/health", "Connection: close") + PING,
        statuses=(200,),
        has={"connection": "close"},
        closes=True,
    ),
    Case(
        name="close among others",
        sent=ask("GET", "/health", "Connection: Keep-Alive, Close"),
        statuses=(200,),
        closes=True,
    ),
    Case(
        name="1.0",
        sent=ask("GET", "/api/Open/add?a=1", version="1.0"),
        statuses=(200,),
        says=b'"data":2',
        has={"connection": "close"},
        closes=True,
    ),
    Case(
        name="1.0 without a host",
        sent=b"GET /health HTTP/1.0\r\n\r\n",
        statuses=(200,),
        closes=True,
    ),
    Case(
        name="1.0 keep-alive",
        sent=ask("GET", "/health", "Connection: keep-alive", version="1.0") * 2,
        statuses=(200, 200),
        has={"connection": "keep-alive"},
    ),
    Case(
        name="upgrade is not taken up",
        sent=ask("GET", "/health", "Connection: Upgrade", "Upgrade: websocket"),
        statuses=(200,),
        has={"upgrade": None},
    ),
    Case(
        name="upgrade with a body",
        sent=ask("POST", ECHO, JSON, "Connection: Upgrade", "Upgrade: h2c", body=b"{}")
        + PING,
        statuses=(200, 200),
    ),
    Case(
        name="HTTP/2 with prior knowledge",
        sent=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        statuses=(505,),
        closes=True,
    ),
)

LIMITS: Final = _of(
    Case(
        name="request line",
        sent=ask("GET", "/" + "x" * 8192),
        statuses=(414,),
        says=b"UriTooLong",
        closes=True,
    ),
    Case(
        name="endless request line",
        sent=b"GET /" + b"x" * 9000,
        statuses=(414,),
        closes=True,
    ),
    Case(
        name="64 headers",
        sent=ask("GET", "/health", *("X-H: x",) * 63),
        statuses=(200,),
    ),
    Case(
        name="65 headers",
        sent=ask("GET", "/health", *("X-H: x",) * 64),
        statuses=(431,),
        closes=True,
    ),
    Case(
        name="long headers",
        sent=ask("GET", "/health", *("X: " + "x" * 8000,) * 5),
        statuses=(431,),
        closes=True,
    ),
    Case(
        name="endless headers",
        sent=b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 42_000,
        statuses=(431,),
        closes=True,
    ),
)


def _bad(name: str, sent: bytes, status: int = 400) -> Case:
    return Case(name=name, sent=sent, statuses=(status,), closes=True)


def _field(line: bytes) -> bytes:
    return b"GET /health HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"


def _chunk(raw: bytes) -> bytes:
    return ask("POST", ECHO, CHUNKED) + raw


MALFORMED: Final = _of(
    _bad("nonsense", b"nonsense\r\n\r\n"),
    _bad("HTTP/0.9", b"GET /\r\n\r\n"),
    _bad("two spaces", b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
    _bad("trailing space", b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
    _bad("tab", b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    _bad("lower case", b"GET / http/1.1\r\nHost: x\r\n\r\n"),
    _bad("HTTP/1.10", b"GET / HTTP/1.10\r\nHost: x\r\n\r\n"),
    _bad("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505),
    _bad("HTTP/3.0", b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    _bad("no host", b"GET / HTTP/1.1\r\n\r\n"),
    _bad("two hosts", b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    _bad("host is a path", b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n"),
    _bad("two hosts in one", b"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n"),
    _bad("bare LF ends a line", b"GET / HTTP/1.1\nHost: x\r\n\r\n"),
    _bad("bare LF ends a field", b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n"),
    _bad("bare LF ends the head", b"GET / HTTP/1.1\r\nHost: x\n\n"),
    _bad("bare CR", _field(b"X: a\rb")),
    _bad("obs-fold", _field(b"X: a\r\n b")),
    _bad("obs-fold with a tab", _field(b"X: a\r\n\tb")),
    _bad("first field folded", b"GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    _bad("space before the colon", _field(b"X : a")),
    _bad("no colon", _field(b"XYZ")),
    _bad("no name", _field(b": a")),
    _bad("a name that is none", _field(b"X(1): a")),
    *(
        _bad(f"control byte {code:#x}", _field(b"X: a" + bytes([code]) + b"b"))
        for code in (0x00, 0x01, 0x08, 0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x1F, 0x7F, 0x85)
    ),
    _bad("size with a sign", _chunk(b"+1\r\nx\r\n0\r\n\r\n")),
    _bad("size with 0x", _chunk(b"0x1\r\nx\r\n0\r\n\r\n")),
    _bad("size with a space", _chunk(b" 1\r\nx\r\n0\r\n\r\n")),
    _bad("size with an underscore", _chunk(b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n")),
    _bad("no size", _chunk(b"\r\nx\r\n0\r\n\r\n")),
    _bad("chunk too long", _chunk(b"1\r\nxx\r\n0\r\n\r\n")),
    _bad("bare LF after a size", _chunk(b"1\nx\r\n0\r\n\r\n")),
    _bad("bare LF after a chunk", _chunk(b"1\r\nx\n0\r\n\r\n")),
    _bad("bare CR in an extension", _chunk(b"1;a\rb\r\nx\r\n0\r\n\r\n")),
    _bad("endless extension", _chunk(b"1;" + b"a" * 300)),
    _bad("trailer that is none", _chunk(b"0\r\nnonsense\r\n\r\n")),
    _bad("endless trailers", _chunk(b"0\r\n" + b"X: yyyyyyyyyyyyyyyy\r\n" * 300), 431),
)

CASES: Final = (*PLAIN, *TARGETS, *BODIES, *CONNECTIONS, *LIMITS, *MALFORMED)

INNER: Final = b"GET /api/Open/marked HTTP/1.1\r\nHost: x\r\n\r\n"
"""A request that is served only if somebody misreads where the first one ends."""


def _smuggle(*fields: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    first = b"POST /api/Open/echo HTTP/" + version
    head = b"\r\n".join((first, b"Host: x", *fields))
    return head + b"\r\n\r\n" + body + INNER


_LENGTH: Final = b"Content-Length: 5"
_TE: Final = b"Transfer-Encoding: chunked"
_END: Final = b"0\r\n\r\n"
SMUGGLING: Final[Mapping[str, bytes]] = {
    "CL.TE": _smuggle(_LENGTH, _TE, body=_END),
    "TE.CL": _smuggle(_TE, _LENGTH, body=_END),
    "CL.CL": _smuggle(b"Content-Length: 0", b"Content-Length: 44"),
    "CL.CL, the same": _smuggle(b"Content-Length: 0", b"Content-Length: 0"),
    "CL, a list": _smuggle(b"Content-Length: 0, 44"),
    "CL, a sign": _smuggle(b"Content-Length: +0"),
    "CL, minus": _smuggle(b"Content-Length: -1"),
    "CL, hexadecimal": _smuggle(b"Content-Length: 0x0"),
    "CL, empty": _smuggle(b"Content-Length: "),
    "CL, a space inside": _smuggle(b"Content-Length: 0 0"),
    "CL, a space before the colon": _smuggle(b"Content-Length : 0"),
    "TE twice": _smuggle(_TE, _TE, body=_END),
    "TE.TE": _smuggle(_TE, b"Transfer-Encoding: identity", body=_END),
    "TE: identity": _smuggle(b"Transfer-Encoding: identity", body=_END),
    "TE: gzip, chunked": _smuggle(b"Transfer-Encoding: gzip, chunked", body=_END),
    "TE: chunked, gzip": _smuggle(b"Transfer-Encoding: chunked, gzip", body=_END),
    "TE: xchunked": _smuggle(b"Transfer-Encoding: xchunked", body=_END),
    "TE, quoted": _smuggle(b'Transfer-Encoding: "chunked"', body=_END),
    "TE, vertical tab": _smuggle(b"Transfer-Encoding: \x0bchunked", body=_END),
    "TE, NEL": _smuggle(b"Transfer-Encoding: chunked\x85", body=_END),
    "TE, folded": _smuggle(b"Transfer-Encoding:\r\n chunked", body=_END),
    "TE, a space before the colon": _smuggle(b"Transfer-Encoding : chunked", body=_END),
    "TE under 1.0": _smuggle(_TE, body=_END, version=b"1.0"),
    "TE after a bare LF": _smuggle(b"X: y\nTransfer-Encoding: chunked", body=_END),
    "TE after a bare CR": _smuggle(b"X: y\rTransfer-Encoding: chunked", body=_END),
    "NUL in a name": _smuggle(b"Content-Length\0: 0"),
    "chunk size too large": _smuggle(_TE, body=b"FFFFFFFFFFFFFFFFF\r\n"),
    "chunk end without CR": _smuggle(_TE, body=b"1\r\nx\n0\r\n\r\n"),
    "chunk longer than its size": _smuggle(_TE, body=b"1\r\nxy\r\n0\r\n\r\n"),
    "chunk size, two": _smuggle(_TE, body=b"1 0\r\nx\r\n0\r\n\r\n"),
    "last chunk without end": _smuggle(_TE, body=b"0\r\n"),
    "last chunk, bare LF": _smuggle(_TE, body=b"0\n\n"),
    "two hosts": _smuggle(b"Host: y", b"Content-Length: 0"),
    "no version": b"GET /\r\n\r\n" + INNER,
    "first line folded": b"GET / HTTP/1.1\r\n\tHost: x\r\n\r\n" + INNER,
}
