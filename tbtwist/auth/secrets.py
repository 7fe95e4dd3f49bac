"""The secrets that sign sessions: configured, or made once and kept.

Contract §3: production refuses to start without a secret of 64 characters or
more; elsewhere one is made and kept in the data directory, never a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tbtwist.auth.private import kept
from tbtwist.auth.signing import b64url_encode
from tbtwist.config.schema import Settings
from tbtwist.errors import PrivateFileUnusable, SecretUnusable
from tbtwist.identity import RandomBytes

FILE_NAME: Final = "cookie_secret"
MIN_PRODUCTION_CHARS: Final = 64
MIN_CHARS: Final = 32
_PUBLISHED: Final = "dev_secret_" + "x" * 40
"""The constant that ToolBoxV2 signs with in development: everyone knows it."""


def load_secrets(
    settings: Settings, *, data_dir: Path, random: RandomBytes
) -> tuple[bytes, ...]:
    """Return the secrets for sessions; the first signs, all of them verify.

    ``session.cookie_secret`` is a comma-separated list, newest first. Without
    it, production fails and every other environment uses the secret in
    ``data_dir``, which is made if it is not there; processes that start at the
    same moment get the same one.

    Raises:
        SecretUnusable: with the reason in words, never with the secret.
    """
    configured = configured_secrets(settings)
    return configured or (_kept(data_dir / FILE_NAME, random),)


def configured_secrets(settings: Settings) -> tuple[bytes, ...]:
    """Return the configured secrets; none, if one may be made.

    Raises:
        SecretUnusable: as `load_secrets`.
    """
    parts = [part.strip() for part in settings.session.cookie_secret.split(",")]
    configured = [part for part in parts if part]
    if configured:
        _check_configured(configured, production=settings.production)
    elif settings.production:
        reason = (
            "production needs session.cookie_secret or TB_COOKIE_SECRET"
            f" with at least {MIN_PRODUCTION_CHARS} characters"
        )
        raise SecretUnusable(reason=reason)
    return tuple(part.encode() for part in configured)


def token_secrets(settings: Settings, cookie: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return the secrets that verify Bearer tokens: their own, else the cookie's.

    A cookie is no token and a token no cookie although one secret may sign both:
    what is signed of a cookie begins with ``{``, of a token never.

    Raises:
        SecretUnusable: one of them is too short.
    """
    parts = [part.strip() for part in settings.auth.jwt_secret.split(",")]
    configured = [part for part in parts if part]
    if any(len(part) < MIN_CHARS for part in configured):
        reason = (
            "auth.jwt_secret (TB_JWT_SECRET) needs at least"
            f" {MIN_CHARS} characters between commas"
        )
        raise SecretUnusable(reason=reason)
    return tuple(part.encode() for part in configured) or cookie


def _check_configured(secrets: Sequence[str], *, production: bool) -> None:
    needed = MIN_PRODUCTION_CHARS if production else MIN_CHARS
    if len(secrets[0]) < needed:
        reason = f"it has {len(secrets[0])} characters and needs at least {needed}"
        raise SecretUnusable(reason=reason)
    if any(len(secret) < MIN_CHARS for secret in secrets):
        reason = f"a rotated one has fewer than {MIN_CHARS} characters"
        raise SecretUnusable(reason=reason)
    if _PUBLISHED in secrets:
        reason = "it is the constant that ToolBoxV2 publishes in its source"
        raise SecretUnusable(reason=reason)


def _kept(path: Path, random: RandomBytes) -> bytes:
    try:
        secret = kept(path, lambda: b64url_encode(random(48)).encode(), random).strip()
    except PrivateFileUnusable as error:
        raise SecretUnusable(reason=f"{error.path} {error.reason}") from error
    if len(secret) < MIN_PRODUCTION_CHARS:
        raise SecretUnusable(reason=f"{path} is damaged; remove it to get a new one")
    return secret
