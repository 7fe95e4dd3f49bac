"""API keys: programs that say who they are with one header (contract §3)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import attrs

from tbtwist.auth.session import USER, SessionData

MAX_KEY_CHARS = 512


@attrs.frozen
class ApiKeys:
    """The keys that may call; only their hashes are known, by their names."""

    _hashes: Mapping[str, bytes] = attrs.field(repr=False)

    @classmethod
    def from_hex(cls, hashes: Mapping[str, str]) -> ApiKeys:
        """Return the keys of ``auth.api_keys``: SHA-256 in hex, by name."""
        return cls({name: bytes.fromhex(text) for name, text in hashes.items()})

    def find(self, key: str) -> SessionData | None:
        """Return who a key belongs to, in a time that does not tell how near it is.

        Its user is ``api_key:NAME``, a user like others; it has no end.
        """
        if not key or len(key) > MAX_KEY_CHARS:
            return None
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        found = [
            name
            for name, known in self._hashes.items()
            if hmac.compare_digest(known, digest)
        ]
        return _session(found[0]) if found else None


def _session(name: str) -> SessionData:
    return SessionData(
        user_id=f"api_key:{name}",
        session_id=f"api_key:{name}",
        user_name=name,
        level=USER,
        spec="api_key",
        validated=True,
        anonymous=False,
    )
