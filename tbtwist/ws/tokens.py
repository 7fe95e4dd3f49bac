"""Resume tokens: what a client was in, and how far it had come, signed by us.

A token is good for whoever has the identity that it was made for, on the path
that it was made for, until it expires. Who is nobody proves no more than having
the token.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from tbtwist.auth.signing import Signer

MAX_CHANNELS: Final = 100
MAX_NAMES_BYTES: Final = 6000
"""How much of its channels a token tells; it has to fit into a request line."""

_PURPOSE: Final = b"tbtwist: resume, 1"
_OWNER_BYTES: Final = 12


class Standing(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a token says.

    ``line`` is the id of the first of the connections that were resumed one after
    another, ``conn_id`` that of the last. ``channels`` are the ones it was in, and
    whether it heard of others coming and going; ``complete`` if none is left out.
    """

    owner: bytes
    line: str
    conn_id: str
    issued_at: float
    channels: dict[str, bool]
    positions: dict[str, int]
    complete: bool = True


def owner_of(about: Mapping[str, Any]) -> bytes:
    """Return what must be the same for a token to count: who, how trusted, where."""
    somebody = bool(about["authenticated"])
    facts = (somebody, about["user_id"] if somebody else "", about["level"])
    text = msgspec.json.encode((*facts, about["path"]))
    return hashlib.blake2b(text, digest_size=_OWNER_BYTES).digest()


def fitting(channels: Mapping[str, bool]) -> tuple[dict[str, bool], bool]:
    """Return as many channels as a token takes, and whether that is all of them."""
    taken: dict[str, bool] = {}
    room = MAX_NAMES_BYTES
    for name, noticed in channels.items():
        room -= len(name.encode()) + 4
        if len(taken) == MAX_CHANNELS or room < 0:
            return taken, False
        taken[name] = noticed
    return taken, True


@attrs.frozen
class Refusal:
    """Why a token does not count."""

    reason: str


class ResumeTokens:
    """Makes and reads tokens, good for ``valid_s``; ``now`` is the wall clock."""

    def __init__(
        self, secrets: Sequence[bytes], valid_s: float, now: Callable[[], float]
    ) -> None:
        keys = [hmac.digest(secret, _PURPOSE, "sha256") for secret in secrets]
        self._signer = Signer(keys)
        self.valid_s = valid_s
        self._now = now

    def issue(self, standing: Standing) -> str:
        """Return the token that says ``standing``."""
        return self._signer.sign(msgspec.msgpack.encode(standing))

    def read(self, token: str, owner: bytes) -> Standing | Refusal:
        """Return what a token says, if it is ours, ``owner``'s, and not too old."""
        payload = self._signer.verify(token)
        if payload is None:
            return Refusal("unknown token")
        try:
            standing = msgspec.msgpack.decode(payload, type=Standing)
        except msgspec.MsgspecError:
            return Refusal("unknown token")
        if not hmac.compare_digest(standing.owner, owner):
            return Refusal("not yours")
        if standing.issued_at + self.valid_s <= self._now():
            return Refusal("expired")
        return standing
