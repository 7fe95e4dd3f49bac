"""The secrets that sign sessions: configured, or made once and kept.

Contract §3: production refuses to start without a secret of 64 characters or
more; elsewhere one is made and kept in the data directory, never a constant.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tbtwist.auth.signing import b64url_encode
from tbtwist.config.schema import Settings
from tbtwist.errors import SecretUnusable
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
    parts = [part.strip() for part in settings.session.cookie_secret.split(",")]
    configured = [part for part in parts if part]
    if configured:
        _check_configured(configured, production=settings.production)
        return tuple(part.encode() for part in configured)
    if settings.production:
        reason = (
            "production needs session.cookie_secret or TB_COOKIE_SECRET"
            f" with at least {MIN_PRODUCTION_CHARS} characters"
        )
        raise SecretUnusable(reason=reason)
    return (kept_secret(data_dir / FILE_NAME, random),)


def kept_secret(path: Path, random: RandomBytes) -> bytes:
    """Return the secret in the file at ``path``, made if it is not there.

    Raises:
        SecretUnusable: the file is open to others, damaged, or cannot be made.
    """
    try:
        return _kept(path, random)
    except OSError as error:
        raise SecretUnusable(reason=f"{path}: {error.strerror}") from error


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
    if not path.exists():
        _make(path, random)
    if path.is_symlink() or not path.is_file():
        raise SecretUnusable(reason=f"{path} is not a plain file")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SecretUnusable(reason=f"{path} is open to others; chmod 600 it")
    secret = path.read_bytes().strip()
    if len(secret) < MIN_PRODUCTION_CHARS:
        raise SecretUnusable(reason=f"{path} is damaged; remove it to get a new one")
    return secret


def _make(path: Path, random: RandomBytes) -> None:
    """Put a new secret at ``path`` in one step, or leave what is there by then."""
    draft = path.with_name(f"{path.name}.{random(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(b64url_encode(random(48)).encode())
            out.flush()
            os.fsync(out.fileno())
        _link(draft, path)
    finally:
        draft.unlink()


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return  # another process was faster: its secret is ours as well
