"""What an application function learns about its caller: `RequestData` (R1.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
from typing_extensions import override

from tbtwist.apps.uploads import UploadedFile
from tbtwist.auth.session import ADMIN, USER, SessionData
from tbtwist.tracing import Trace

_LEVELS: Final = (ADMIN, 1, 2)


class Headers:
    """The request's headers; ``headers.user_agent`` is ``User-Agent``.

    A header that was not sent is None.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = {_header(name): value for name, value in (values or {}).items()}

    @classmethod
    def received(cls, values: Mapping[str, str]) -> Headers:
        """Return headers whose names are in lower case, with dashes, already."""
        headers = cls()
        headers._values = dict(values)
        return headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a header by its name, in any case, with dashes or underscores."""
        return self._values.get(_header(name), default)

    def to_dict(self) -> dict[str, str]:
        """Return all headers, lower-case and with dashes."""
        return dict(self._values)

    def __getattr__(self, name: str) -> str | None:
        """Return the header that ``name`` spells with underscores."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and other.to_dict() == self.to_dict()

    @override
    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    @override
    def __repr__(self) -> str:
        return f"Headers({sorted(self._values)})"


def _header(name: str) -> str:
    return name.lower().replace("_", "-")


@attrs.define
class RequestInfo:
    """The request itself. A repeated parameter is a list, any other a string.

    ``body`` is ``raw_body`` as text; both are empty for a form with files.
    """

    method: str = "GET"
    path: str = ""
    content_type: str = ""
    headers: Headers = attrs.Factory(Headers)
    query_params: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    form_data: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    body: str | None = attrs.field(default=None, repr=False)
    raw_body: bytes = attrs.field(default=b"", repr=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RequestInfo:
        """Read what `to_dict` wrote; unknown keys are ignored."""
        names = {field.name for field in attrs.fields(cls)} - {"raw_body"}
        known = {name: values[name] for name in names if name in values}
        if "headers" in known:
            known["headers"] = Headers(known["headers"])
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; of the body, its text."""
        values = attrs.asdict(self, recurse=False)
        del values["raw_body"]
        return {**values, "headers": self.headers.to_dict()}


@attrs.frozen
class LoggedIn:
    """The function has made the caller somebody; the HTTP core sets the cookie."""

    user_id: str
    user_name: str
    level: int
    provider_user_id: str = ""


@attrs.frozen
class LoggedOut:
    """The function has made the caller nobody; the cookie is cleared and revoked."""


@attrs.define(eq=False)
class AppSession:
    """Who calls, and the way to change it.

    The fields are those of `SessionData`. ``change`` tells the HTTP core what the
    function did; over a WebSocket nobody can be given a cookie, so there it has no
    effect beyond this object.
    """

    user_id: str = ""
    session_id: str = attrs.field(default="", repr=False)
    user_name: str = "anonymous"
    level: int = 0
    spec: str = ""
    exp: float = 0.0
    provider_user_id: str = ""
    validated: bool = False
    anonymous: bool = True
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    live_data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    change: LoggedIn | LoggedOut | None = attrs.field(default=None, kw_only=True)

    @classmethod
    def of(cls, data: SessionData) -> AppSession:
        """Return a session for one call."""
        return cls(
            data.user_id,
            data.session_id,
            data.user_name,
            data.level,
            data.spec,
            data.exp,
            data.provider_user_id,
            data.validated,
            data.anonymous,
            data.extra,
            data.live_data,
        )

    @property
    def SiID(self) -> str:  # noqa: N802 - ToolBoxV2's name for it
        """Return the session's id."""
        return self.session_id

    @property
    def cloudm_user_id(self) -> str:
        """Return the id that the identity provider knows the user by."""
        return self.provider_user_id

    @property
    def extra_data(self) -> dict[str, Any]:
        """Return everything else that the session carries."""
        own = {"exp": self.exp, "provider_user_id": self.provider_user_id}
        return {**self.extra, **own, "live_data": dict(self.live_data)}

    @property
    def valid(self) -> bool:
        """Whether this is somebody."""
        return self.is_authenticated

    @property
    def is_authenticated(self) -> bool:
        """Whether this is somebody; whoever made the session has checked its end."""
        known = self.level >= USER or self.level == ADMIN
        return self.validated and not self.anonymous and known and bool(self.user_id)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field, or a key of what else the session carries."""
        if key in _SESSION_KEYS:
            return getattr(self, key)
        return self.extra_data.get(key, default)

    def login(self, *, user_id: str, user_name: str = "", level: int = USER) -> None:
        """Make the caller ``user_id`` from now on.

        Raises:
            ValueError: there is no such level, or the id is empty.
        """
        if not user_id or level not in _LEVELS:
            msg = f"cannot log in user {user_id!r} with level {level}"
            raise ValueError(msg)
        self.user_id, self.user_name, self.level = user_id, user_name, level
        self.validated, self.anonymous = True, False
        self.change = LoggedIn(user_id, user_name, level)

    def logout(self) -> None:
        """Make the caller nobody."""
        self.user_id, self.user_name, self.level = "", "anonymous", 0
        self.validated, self.anonymous = False, True
        self.change = LoggedOut()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in _SESSION_FIELDS} | {
            "SiID": self.session_id,
            "cloudm_user_id": self.provider_user_id,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AppSession:
        """Read what `to_dict` wrote; what is no field goes into ``extra``."""
        known = {name: values[name] for name in _SESSION_FIELDS if name in values}
        aliases = {"session_id": "SiID", "provider_user_id": "cloudm_user_id"}
        for name, alias in aliases.items():
            known.setdefault(name, values.get(alias, ""))
        rest = {k: v for k, v in values.items() if k not in _SESSION_KEYS}
        known["extra"] = {**known.get("extra", {}), **rest}
        return cls(**known)


_SESSION_FIELDS: Final = tuple(
    field.name for field in attrs.fields(AppSession) if field.name != "change"
)
_SESSION_KEYS: Final = frozenset({*_SESSION_FIELDS, "SiID", "cloudm_user_id"})


@attrs.define(eq=False)
class RequestData:
    """One call as the function sees it.

    What is no attribute here is looked up in ``request``, so ``request.method``
    and ``request.query_params`` work. ``data`` and ``form_data`` are what a client
    sent under these names to a function that takes no such parameter (R8.3).
    ``files`` are the uploads by their fields; a field of several is a list. ``trace``
    is the span of this call, if whoever asked for it works under a trace.
    """

    request: RequestInfo = attrs.Factory(RequestInfo)
    session: AppSession = attrs.Factory(AppSession)
    session_id: str = attrs.field(default="", repr=False)
    client_ip: str = ""
    data: Any = None
    files: Mapping[str, UploadedFile | list[UploadedFile]] = attrs.Factory(dict)
    trace: Trace | None = attrs.field(default=None, repr=False)

    @property
    def traceparent(self) -> str | None:
        """Return the header for whoever is asked for something because of this call.

        It names our own span; ``headers.traceparent`` is the one that came.
        """
        return None if self.trace is None else self.trace.traceparent

    @property
    def is_authenticated(self) -> bool:
        """Whether the caller is somebody."""
        return self.session.is_authenticated

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute of this or of ``request``."""
        return getattr(self, key, default)

    def __getattr__(self, name: str) -> Any:
        """Return what ``request`` has under this name."""
        if name.startswith("_") or name in _OWN_NAMES:
            raise AttributeError(name)
        return getattr(self.request, name)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `from_dict` reads them."""
        return {
            "request": self.request.to_dict(),
            "session": self.session.to_dict(),
            "session_id": self.session_id,
            "client_ip": self.client_ip,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RequestData:
        """Read what `to_dict` wrote."""
        return cls(
            request=RequestInfo.from_dict(values.get("request", {})),
            session=AppSession.from_dict(values.get("session", {})),
            session_id=values.get("session_id", ""),
            client_ip=values.get("client_ip", ""),
            files=values.get("files", {}),
        )


_OWN_NAMES: Final = frozenset(field.name for field in attrs.fields(RequestData))
