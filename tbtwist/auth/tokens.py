"""Bearer tokens: JSON Web Tokens, verified with pinned algorithms (contract §3).

Two kinds, told apart by the algorithm that their header names: ``HS256`` under
a secret of ours, and ``RS256`` or ``ES256`` under a public key of an issuer. A
secret never verifies the second kind nor a public key the first, so a token
cannot choose how it is checked. Nothing here fetches a key or reads a clock.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import attrs
import jwt
import msgspec

from tbtwist.auth.session import ADMIN, USER, SessionData
from tbtwist.config.schema import Auth

SHARED: Final = "HS256"
PUBLIC: Final = ("RS256", "ES256")
LEEWAY_S: Final = 30.0
"""How far the clocks of issuer and worker may be apart."""
MAX_TOKEN_CHARS: Final = 8192
_FAR_AWAY: Final = 2.0**40
_FORM: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+\Z", re.ASCII)
_LEVELS: Final = frozenset({ADMIN, USER, 2})
_JWS: Final = jwt.PyJWS(algorithms=[SHARED, *PUBLIC])


@attrs.frozen
class Header:
    """What a token says about how it is signed; nothing of it is proven."""

    algorithm: str
    kid: str


@attrs.frozen
class PublicKey:
    """A key of an issuer, good for one algorithm."""

    kid: str
    algorithm: str
    key: Any = attrs.field(repr=False)


@attrs.frozen
class TokenRules:
    """What tokens have to be; ``secrets`` are ours, the rest is about issuers."""

    secrets: tuple[bytes, ...] = attrs.field(repr=False)
    issuer: str = ""
    parties: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()

    @classmethod
    def from_settings(cls, auth: Auth, secrets: tuple[bytes, ...]) -> TokenRules:
        """Return the rules that the section ``auth`` spells out."""
        return cls(
            secrets,
            issuer=auth.jwt_issuer,
            parties=frozenset(auth.jwt_azp),
            audiences=frozenset(auth.jwt_audience),
        )


@attrs.frozen
class Rejected:
    """The token is no good; ``reason`` may be told to whoever sent it."""

    reason: str


@attrs.frozen
class Foreign:
    """Not signed with any key that we know; somebody else may know it."""


Verdict = SessionData | Rejected | Foreign


class _Claims(msgspec.Struct):
    """The claims that mean something here, of ToolBoxV2 (R2.4) and of issuers."""

    exp: int | float
    sub: str = ""
    user_id: str = ""
    username: str = ""
    name: str = ""
    email: str = ""
    provider: str = ""
    level: int = USER
    type: str | None = None
    iat: int | float = 0
    nbf: int | float = 0
    jti: str = ""
    sid: str = ""
    iss: str = ""
    azp: str = ""
    aud: str | list[str] = []


def read_header(token: str) -> Header | Rejected | Foreign:
    """Return how ``token`` says it is signed; Foreign for what is no JWT at all."""
    if len(token) > MAX_TOKEN_CHARS:
        return Rejected("the token is too long")
    try:
        header = jwt.get_unverified_header(token) if _FORM.match(token) else None
    except jwt.InvalidTokenError:
        header = None
    return Foreign() if header is None else _checked_header(header)


def _checked_header(header: dict[str, Any]) -> Header | Rejected:
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if "crit" in header or "b64" in header or not isinstance(kid, str):
        return Rejected("the token's header is not understood")
    if algorithm != SHARED and algorithm not in PUBLIC:
        return Rejected("the token's algorithm is not accepted")
    return Header(algorithm, kid)


def verify_shared(token: str, rules: TokenRules, now: float) -> Verdict:
    """Verify a token that one of our secrets should have signed."""
    for secret in rules.secrets:
        payload = _payload(token, secret, SHARED)
        if payload is not None:
            return _judge(token, payload, rules, now, issuer=False)
    return Foreign()


def verify_public(token: str, key: PublicKey, rules: TokenRules, now: float) -> Verdict:
    """Verify a token that the owner of ``key`` should have signed."""
    payload = _payload(token, key.key, key.algorithm)
    if payload is None:  # also where the header names another algorithm
        return Rejected("the token's signature is wrong")
    return _judge(token, payload, rules, now, issuer=True)


def unproven_end(token: str) -> float:
    """Return the ``exp`` of a token that somebody else has verified; 0 for none."""
    try:
        found = _JWS.decode_complete(token, options={"verify_signature": False})
        exp = float(msgspec.json.decode(found["payload"], type=_Claims).exp)
    except (jwt.InvalidTokenError, msgspec.DecodeError, ValueError, OverflowError):
        return 0.0
    return exp if 0 < exp < _FAR_AWAY else 0.0


def token_id(token: str) -> str:
    """Return an id of a token without one.

    A JWT's is of what is signed: there may be several good signatures.
    """
    signed = token.rpartition(".")[0] if _FORM.match(token) else token
    return "jwt_" + hashlib.sha256(signed.encode()).hexdigest()[:32]


def _payload(token: str, key: Any, algorithm: str) -> bytes | None:
    try:
        found = _JWS.decode_complete(token, key, algorithms=[algorithm])
    except jwt.PyJWTError:
        return None
    return bytes(found["payload"])


def _judge(
    token: str, payload: bytes, rules: TokenRules, now: float, *, issuer: bool
) -> SessionData | Rejected:
    try:
        claims = msgspec.json.decode(payload, type=_Claims)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Rejected("the token has no exp, or a claim of the wrong form")
    reason = (
        _wrong_time(claims, now)
        or _wrong_kind(claims, issuer=issuer)
        or _wrong_audience(claims, rules)
        or (_wrong_origin(claims, rules) if issuer else "")
    )
    return Rejected(reason) if reason else _session(token, claims, issuer=issuer)


def _wrong_time(claims: _Claims, now: float) -> str:
    if not 0 < claims.exp < _FAR_AWAY:
        return "the token has no usable exp"
    if claims.exp + LEEWAY_S <= now:
        return "the token has expired"
    if max(claims.nbf, claims.iat) > now + LEEWAY_S:
        return "the token is not valid yet"
    return ""


def _wrong_kind(claims: _Claims, *, issuer: bool) -> str:
    """Refuse refresh tokens; issuers' tokens have no ``type`` as a rule."""
    if claims.type != "access" and not (issuer and claims.type is None):
        return "the token is no access token"
    if not (claims.user_id or claims.sub):
        return "the token names no user"
    if not issuer and claims.level not in _LEVELS:
        return "the token has no usable level"
    return ""


def _wrong_audience(claims: _Claims, rules: TokenRules) -> str:
    """Refuse what is for others (RFC 7519, 4.1.3), or for nobody if we are named."""
    named = {claims.aud} if isinstance(claims.aud, str) else set(claims.aud)
    meant = bool(named & rules.audiences) if named or rules.audiences else True
    return "" if meant else "the token is meant for others"


def _wrong_origin(claims: _Claims, rules: TokenRules) -> str:
    if rules.issuer and claims.iss != rules.issuer:
        return "the token is of another issuer"
    if rules.parties and claims.azp not in rules.parties:
        return "the token was made for another party"
    return ""


def _session(token: str, claims: _Claims, *, issuer: bool) -> SessionData:
    """Return the session of a token; what an issuer says of levels is not ours."""
    level = USER if issuer else claims.level
    provider_user_id = claims.sub if issuer else ""
    return SessionData(
        user_id=claims.user_id or claims.sub,
        session_id=claims.sid or claims.jti or token_id(token),
        user_name=claims.username or claims.name or claims.email or "user",
        level=level,
        spec="jwt",
        exp=float(claims.exp),
        provider_user_id=provider_user_id,
        validated=True,
        anonymous=False,
        extra={"created_at": float(claims.iat), "email": claims.email},
        live_data={"provider_user_id": provider_user_id, "level": str(level)},
    )
