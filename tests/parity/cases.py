"""The requests that both workers get, and where their answers may differ.

``differs`` says for each part that differs (`tests.parity.comparing`) under which
key of ``docs/compatibility.md`` it is listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import attrs

from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.session import authenticated_session
from tbtwist.auth.signing import Signer
from tbtwist.config.schema import Session
from tests.parity.workers import SECRET

Headers = Mapping[str, str]
FAR_AWAY: Final = 4_000_000_000.0
JSON: Final[Headers] = {"Content-Type": "application/json"}
FORM: Final[Headers] = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART: Final[Headers] = {"Content-Type": "multipart/form-data; boundary=xx"}
UPLOAD: Final = (
    b'--xx\r\nContent-Disposition: form-data; name="doc"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nhello\r\n--xx--\r\n"
)
MIXED: Final = (
    b'--xx\r\nContent-Disposition: form-data; name="who"\r\n\r\nme\r\n--xx--\r\n'
)


@attrs.frozen
class Case:
    """One request."""

    method: str
    target: str
    headers: Headers = attrs.Factory(dict)
    body: bytes | None = None
    differs: Mapping[str, str] = attrs.Factory(dict)
    masked: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Return what a person would call it."""
        kind = self.headers.get("Content-Type", "")
        return " ".join(filter(None, (self.method, self.target, kind)))


def cookie_of(level: int) -> Headers:
    """Return the cookie of somebody; both workers know the secret."""
    cookies = SessionCookies(Signer([SECRET.encode()]), Session(), secure=False)
    session = authenticated_session(
        "u1", "Ada", level=level, exp=FAR_AWAY, random=bytes, extra={}
    )
    made = cookies.set_cookie(session, FAR_AWAY - 1000)
    return {"Cookie": made.partition(";")[0]}


def get(path: str, headers: Headers | None = None, /, **differs: str) -> Case:
    """Return a GET; ``header_x_y`` stands for the header ``x-y``."""
    return Case("GET", path, headers or {}, None, _parts(differs))


def post(target: str, body: bytes, headers: Headers = JSON, /, **differs: str) -> Case:
    """Return a POST."""
    return Case("POST", target, headers, body, _parts(differs))


def _parts(differs: Mapping[str, str]) -> dict[str, str]:
    return {
        what.replace("header_", "header ").replace("_", "-"): key
        for what, key in differs.items()
    }


EVERYWHERE: Final[Mapping[str, str]] = {
    "header server": "server-header",
    "header x-request-id": "request-id",
    "header vary": "cors",
    "header access-control-allow-credentials": "cors",
    "header access-control-allow-headers": "cors",
    "header access-control-allow-methods": "cors",
    "header access-control-allow-origin": "cors",
    "header access-control-expose-headers": "cors",
    "header access-control-max-age": "cors",
}


def answer(key: str) -> dict[str, str]:
    """Say that status and body differ."""
    return {"status": key, "body": key}


def refusal(key: str) -> dict[str, str]:
    """Say that we refuse a method."""
    return {**answer(key), "header_allow": key}


NO_IDENTITY: Final = {
    "body": "identity-words",
    "header_www_authenticate": "identity-words",
}
NO_STORE: Final = {"header_cache_control": "no-store"}
FIGURES: Final = frozenset(
    {
        "worker_id",
        "requests_total",
        "requests_success",
        "requests_error",
        "requests_auth",
        "requests_denied",
        "ws_messages_handled",
        "avg_latency_ms",
        "zmq",
    }
)
DOWNLOAD: Final = {"header_accept_ranges": "downloads", "header_etag": "downloads"}
EVENTS: Final = {
    **answer("events"),
    "header_content_type": "events",
    "header_cache_control": "events",
    "header_x_accel_buffering": "events",
    "header_transfer_encoding": "events",
}
LOGIN_PAGE: Final = {
    "body": "login-page",
    "header_cache_control": "login-page",
    "header_content_security_policy": "login-page",
    "header_referrer_policy": "login-page",
    "header_x_content_type_options": "login-page",
}
EVIL: Final = answer("oauth-redirect")
STATELESS: Final = {
    **answer("oauth-state"),
    "header_content_type": "oauth-state",
    "header_set_cookie": "oauth-state",
}
NO_LOGIN: Final = {**answer("no-login"), "header_content_type": "no-login"}
PREFIX: Final = {"body": "prefix-boundary", "header_content_type": "prefix-boundary"}
PAGE: Final = {"body": "not-found-page", "header_content_type": "not-found-page"}

CASES: Final[tuple[Case, ...]] = (
    # logins elsewhere, first: asking the real one for a function of a module that
    # has no such function makes it forget the module
    get("/auth/discord/url", **NO_STORE),
    get("/auth/discord/url?redirect_after=http://localhost:3000", **NO_STORE),
    get("/auth/discord/url?redirect_after=https://evil.example", **EVIL),
    get("/auth/discord/callback"),
    get("/auth/discord/callback?code=c", **STATELESS),
    get("/auth/discord/callback?code=c&state=s", **LOGIN_PAGE),
    get("/auth/magic/verify"),
    get("/auth/magic/verify?token=old", **LOGIN_PAGE),
    get("/auth/google/url", **NO_LOGIN),
    # what a function returns
    get("/api/Open/greet"),
    get("/api/Open/greet?who=x"),
    get(f"/api/Open/greet?who={quote('Grüße')}"),
    get("/api/Open/greet?who=a&who=b", **answer("converted-arguments")),
    get("/api/Open/greet?who="),
    get("/api/Open/greet_async?who=x"),
    *(
        get(f"/api/Open/value?kind={kind}")
        for kind in ("dict", "list", "text", "page", "number", "none")
    ),
    get("/api/Open/bare", body="row-origin"),
    get("/api/Open/bare?kind=text", body="row-origin"),
    get("/api/Open/json"),
    get("/api/Open/json?status=201"),
    get("/api/Open/text"),
    get("/api/Open/text?kind=text/csv"),
    get("/api/Open/html"),
    get("/api/Open/html?status=404"),
    get("/api/Open/html_headers"),
    get("/api/Open/redirect"),
    get("/api/Open/redirect?to=https://example.org/&status=301"),
    get("/api/Open/binary", **DOWNLOAD),
    get("/api/Open/binary?name=a.bin", **DOWNLOAD),
    get("/api/Open/file", **DOWNLOAD),
    get("/api/Open/file_path", **DOWNLOAD, header_last_modified="downloads"),
    get("/api/Open/no_file", body="error-words"),
    get("/api/Open/stream", header_x_accel_buffering="unbuffered"),
    get("/api/Open/events", **EVENTS),
    get("/api/Open/nested", body="nested-results"),
    get("/api/Open/forwarded"),
    # what can go wrong
    get("/api/Open/failure", **answer("error-status")),
    get("/api/Open/failure?kind=user"),
    get("/api/Open/failure?kind=internal"),
    get("/api/Open/failure?kind=custom"),
    get("/api/Open/failure?kind=user&code=404", body="error-words"),
    get("/api/Open/failure?kind=custom&code=200", **answer("error-200")),
    get("/api/Open/failure?kind=user&code=201", status="error-200"),
    get("/api/Open/crash", body="private-errors"),
    get("/api/Open/nothing", body="unknown-function"),
    get("/api/Nothing/at_all", **answer("unknown-function")),
    get("/api/Open/needs", **answer("missing-argument")),
    get("/api/Open/needs?item=a"),
    get("/api/Open/greet?stray=1", **answer("stray-parameter")),
    get("/api/Open/number?count=3", body="converted-arguments"),
    get("/api/Open/number?count=three", **answer("converted-arguments")),
    # what a function gets
    get("/api/Open/request?who=me", {"User-Agent": "parity", "X-Own": "yes"}),
    post("/api/Open/request", b'{"who":"me"}', {**JSON, "User-Agent": "parity"}),
    post(
        "/api/Open/request",
        b"who=me&a=1&a=2",
        {**FORM, "User-Agent": "parity"},
        **answer("stray-parameter"),
    ),
    post("/api/Open/request", b"who=me", {**FORM, "User-Agent": "parity"}),
    post("/api/Open/greet", b"who=me", FORM),
    post("/api/Open/greet", b'{"who":"me"}'),
    post("/api/Open/greet?who=you", b'{"who":"me"}'),
    post("/api/Open/greet", b'["who"]'),
    post("/api/Open/greet", b"{broken", **answer("broken-json")),
    post("/api/Open/greet", b""),
    post("/api/Open/maybe", b'{"who":null}'),
    post("/api/Open/greet", MIXED, MULTIPART),
    post("/api/Open/data", b'{"data":{"a":1}}'),
    post("/api/Open/spread", b'{"data":{"first":1,"second":2}}'),
    post("/api/Open/anything", b'{"a":1,"b":[2]}'),
    get("/api/Open/anything?get_results=x", **answer("own-arguments")),
    get("/api/Open/greet?args_=x", body="own-arguments"),
    get("/api/Open/with_app?who=x"),
    get("/api/Open/upload"),
    post("/api/Open/upload", UPLOAD, MULTIPART),
    get("/api/Open/deep/er"),
    # methods and access
    Case("PUT", "/api/Open/greet"),
    Case("PATCH", "/api/Open/greet"),
    Case("DELETE", "/api/Open/greet"),
    Case("HEAD", "/api/Open/greet"),
    Case("OPTIONS", "/api/Open/greet", differs={"header allow": "allow-header"}),
    Case("PURGE", "/api/Open/greet", differs=_parts(refusal("methods"))),
    get("/api/Open/post_only", **refusal("api-methods")),
    post("/api/Open/post_only", b""),
    get("/api/Open/hidden", **answer("api-false")),
    get("/api/Closed/member", **NO_IDENTITY),
    get("/api/Closed/member", cookie_of(1)),
    get("/api/Closed/member", {"Cookie": "tb_session=x.y"}, **NO_IDENTITY),
    get("/api/Closed/trusted", cookie_of(1), **answer("levels")),
    get("/api/Closed/trusted", cookie_of(2)),
    get("/api/Closed/trusted", cookie_of(-1)),
    get("/api/Closed/free", **answer("levels")),
    get("/api/Closed/open_to_all"),
    get("/api/Open/request", {**cookie_of(2), "User-Agent": "parity"}),
    # the worker's own paths
    attrs.evolve(
        get("/health", **NO_STORE), masked=frozenset({"worker_id", "pid", "timestamp"})
    ),
    attrs.evolve(get("/api/ping", **NO_STORE), masked=frozenset({"timestamp"})),
    get("/api/ip", **NO_STORE),
    get("/api/ip", {"X-Forwarded-For": "203.0.113.9"}, **NO_STORE),
    get("/api/ip", {"X-Real-IP": "203.0.113.9"}, body="client-address", **NO_STORE),
    get("/IsValidSession", **NO_STORE),
    get("/IsValidSession", cookie_of(1), **NO_STORE),
    post("/validateSession", b"{}", header_set_cookie="cookie-of-nobody", **NO_STORE),
    post("/web/logoutS", b"{}", **NO_STORE),
    get("/api_user_data", **NO_STORE),
    get("/metrics", body="metrics", header_content_type="metrics", **NO_STORE),
    attrs.evolve(
        get("/metrics", {"Accept": "application/json"}, **NO_STORE),
        masked=FIGURES,
    ),
    post("/api/client-logs", b'{"logs":[]}', **NO_STORE),
    post("/api/client-logs", b'{"logs":[{"message":"hello"}]}', **NO_STORE),
    get("/api/client-logs", body="methods", header_allow="methods"),
    post(
        "/web/logoutS",
        b"{}",
        {**JSON, **cookie_of(1)},
        header_set_cookie="logout",
        header_content_type="logout",
    ),
    get("/nothing", **PAGE),
    get("/api"),
    get("/api/Open"),
    get("/apiOpen/greet", status="prefix-boundary", **PREFIX),
    get("/api/Open/gr%65et"),
    get("/api/Open/greet?who=%2525"),
    get("/api/Open/gr%2565et", **answer("double-decoding")),
    # browsers
    get("/api/Open/greet", {"Origin": "http://localhost:3000"}),
    get("/api/Open/greet", {"Origin": "https://evil.example"}),
    Case(
        "OPTIONS",
        "/api/Open/greet",
        {"Origin": "http://localhost:3000"},
        differs={"header allow": "allow-header"},
    ),
    # size
    post("/api/Open/greet", b'"' + b"x" * 100_000 + b'"', **answer("body-limit")),
)
