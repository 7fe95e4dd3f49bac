"""Signed values: what we hand out and recognise again, with secrets that rotate.

A signed value is ``b64url(payload).b64url(HMAC-SHA256(payload))``, without
padding. The signature is over the payload's bytes, not over its base64 text.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from typing import Final

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]*\Z")
_REMEMBERED: Final = 2048
"""How many signed texts are recognised without computing their signature again."""


def b64url_encode(raw: bytes) -> str:
    """Return base64url text without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes | None:
    """Read base64url without padding, strictly; None for anything else.

    Strict means that exactly one text stands for a value: no padding, no
    foreign character, no stray bits at the end.
    """
    if not _ALPHABET.match(text) or len(text) % 4 == 1:
        return None
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return raw if b64url_encode(raw) == text else None


class Signer:
    """Signs with the first secret and accepts the signatures of all."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets:
            msg = "a signer needs at least one secret"
            raise ValueError(msg)
        self._secrets = tuple(secrets)
        self._verified: dict[str, bytes] = {}

    def sign(self, payload: bytes) -> str:
        """Return ``payload`` with its signature, as text fit for a cookie."""
        signature = _digest(self._secrets[0], payload)
        return f"{b64url_encode(payload)}.{b64url_encode(signature)}"

    def verify(self, text: str) -> bytes | None:
        """Return the payload, or None if ``text`` was not signed by us."""
        payload = self._verified.get(text)
        if payload is None:
            payload = self._checked(text)
            if payload is not None:
                self._remember(text, payload)
        return payload

    def _remember(self, text: str, payload: bytes) -> None:
        """Keep what is good; nobody without a secret can fill this."""
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[text] = payload

    def _checked(self, text: str) -> bytes | None:
        encoded, dot, encoded_signature = text.rpartition(".")
        payload = b64url_decode(encoded)
        signature = b64url_decode(encoded_signature)
        if not dot or payload is None or signature is None:
            return None
        matches = [
            hmac.compare_digest(_digest(secret, payload), signature)
            for secret in self._secrets
        ]
        return payload if any(matches) else None


def _digest(secret: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, payload, "sha256")
