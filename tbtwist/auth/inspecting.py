"""What is in a session cookie, and whether it counts: for people who look into one."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tbtwist.auth.session import SessionData, from_json_bytes
from tbtwist.auth.signing import Signer, b64url_decode

IsRevoked = Callable[[str, str, float], bool]


@attrs.frozen
class Inspection:
    """The session in a cookie, if there is one, and why it does not count, if so."""

    session: SessionData | None
    problem: str = ""


def inspect_cookie(
    value: str, signer: Signer | None, is_revoked: IsRevoked, now: float
) -> Inspection:
    """Look into a bare cookie value.

    ``signer`` is None where nobody has a secret yet.
    """
    payload = b64url_decode(value.rpartition(".")[0])
    session = from_json_bytes(payload) if payload else None
    if session is None:
        return Inspection(None, "this is no session cookie")
    if signer is None or signer.verify(value) is None:
        return Inspection(session, "it was not signed with our secret")
    return Inspection(session, _end(session, is_revoked, now))


def _end(session: SessionData, is_revoked: IsRevoked, now: float) -> str:
    if session.exp <= 0:
        return "it has no end"
    if session.is_expired(now):
        return "it has expired"
    if is_revoked(session.session_id, session.user_id, session.issued_at):
        return "it was revoked by a logout"
    return ""
