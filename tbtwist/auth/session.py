"""Who someone is: the value that a signed cookie carries.

Keys, their order and their form are those of ToolBoxV2 (R2.1), byte for byte.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from tbtwist.identity import RandomBytes

ADMIN: Final = -1
ANONYMOUS: Final = 0
USER: Final = 1


@attrs.frozen
class SessionData:
    """A session. ``exp`` is a Unix time in seconds; 0 means that none was set.

    Levels: -1 admin, 0 anonymous, 1 user, 2 trusted.
    """

    user_id: str = ""
    session_id: str = attrs.field(default="", repr=False)
    user_name: str = "anonymous"
    level: int = ANONYMOUS
    spec: str = ""
    exp: float = 0.0
    provider_user_id: str = ""
    validated: bool = False
    anonymous: bool = True
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    live_data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def issued_at(self) -> float:
        """Return when the session began; 0 if it does not say."""
        at = self.extra.get("created_at", 0)
        known = isinstance(at, int | float) and not isinstance(at, bool)
        return float(at) if known else 0.0

    def is_expired(self, now: float) -> bool:
        """Whether the session had an end, and it has passed."""
        return 0 < self.exp <= now

    def authenticated(self, now: float) -> bool:
        """Whether this is somebody, and still is."""
        return (
            self.validated
            and not self.anonymous
            and (self.level >= USER or self.level == ADMIN)
            and bool(self.user_id)
            and not self.is_expired(now)
        )

    def to_json_bytes(self) -> bytes:
        """Return the cookie's payload: compact JSON, all keys, in R2.1's order."""
        keys = (field.name for field in attrs.fields(SessionData))
        values = {key: getattr(self, key) for key in keys}
        return json.dumps(values, separators=(",", ":")).encode("ascii")


class _Wire(msgspec.Struct):
    """The payload as it may come, also from an older ToolBoxV2."""

    user_id: str | None = None
    session_id: str | None = None
    user_name: str | None = None
    level: int = ANONYMOUS
    spec: str | None = None
    exp: int | float = 0.0
    provider_user_id: str | None = None
    cloudm_user_id: str | None = None
    validated: bool = False
    anonymous: bool = True
    extra: dict[str, Any] | None = None
    live_data: dict[str, Any] | None = None


def from_json_bytes(raw: bytes) -> SessionData | None:
    """Read a cookie's payload; None if it is not a session."""
    try:
        wire = msgspec.json.decode(raw, type=_Wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return SessionData(
        user_id=wire.user_id or "",
        session_id=wire.session_id or "",
        user_name=wire.user_name or "anonymous",
        level=wire.level,
        spec=wire.spec or "",
        exp=wire.exp,
        provider_user_id=wire.provider_user_id or wire.cloudm_user_id or "",
        validated=wire.validated,
        anonymous=wire.anonymous,
        extra=wire.extra or {},
        live_data=wire.live_data or {},
    )


def anonymous_session(random: RandomBytes) -> SessionData:
    """Return a session of nobody, with an id of its own."""
    return SessionData(session_id=f"anon_{random(8).hex()}")


def authenticated_session(
    user_id: str,
    user_name: str,
    *,
    level: int,
    exp: float,
    random: RandomBytes,
    extra: Mapping[str, Any] | None = None,
) -> SessionData:
    """Return a fresh session of a user who has just proved who they are."""
    return SessionData(
        user_id=user_id,
        session_id=str(uuid.UUID(bytes=random(16), version=4)),
        user_name=user_name,
        level=level,
        exp=exp,
        validated=True,
        anonymous=False,
        extra=dict(extra or {}),
        live_data={"provider_user_id": "", "level": str(level)},
    )
