"""``session``: what the signed cookie needs, and what is in one."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbtwist.cli.options import common_options, config_file, world

if TYPE_CHECKING:
    from tbtwist.auth.inspecting import Inspection, IsRevoked
    from tbtwist.auth.signing import Signer
    from tbtwist.config.schema import Settings

_SECRET_BYTES = 48


@click.group()
def session() -> None:
    """Sessions and their secret."""


@session.command("generate-secret")
@common_options
def generate_secret() -> None:
    """Print a new secret for TB_COOKIE_SECRET or session.cookie_secret."""
    import secrets

    click.echo(secrets.token_hex(_SECRET_BYTES))


@session.command()
@common_options
@click.argument("cookie")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def inspect(ctx: click.Context, cookie: str, *, as_json: bool) -> None:
    """Show what is in COOKIE, and whether it counts; - reads it from the input.

    It may be the value alone, or with its name as in a Cookie header. Exit code 1
    if it does not count.
    """
    from tbtwist.auth.inspecting import inspect_cookie

    here = world(ctx)
    settings = here.examine(config_file(ctx)).settings
    text = sys.stdin.read() if cookie == "-" else cookie
    found = inspect_cookie(
        text.strip().removeprefix(f"{settings.session.cookie_name}="),
        _signer(settings),
        _revocations(settings, here.now()),
        here.now(),
    )
    click.echo(_json(found) if as_json else _text(found))
    ctx.exit(1 if found.problem else 0)


def _signer(settings: Settings) -> Signer | None:
    """Return who can verify; looking at a cookie makes no secret."""
    import secrets

    from tbtwist.auth.secrets import FILE_NAME, configured_secrets, load_secrets
    from tbtwist.auth.signing import Signer

    data_dir = Path(settings.data_dir)
    if not configured_secrets(settings) and not (data_dir / FILE_NAME).exists():
        return None
    found = load_secrets(settings, data_dir=data_dir, random=secrets.token_bytes)
    return Signer(found)


def _revocations(settings: Settings, now: float) -> IsRevoked:
    import secrets

    from tbtwist.auth.ledger import FILE_NAME, Ledger, RevocationFile

    path = Path(settings.data_dir) / FILE_NAME
    ledger = Ledger(RevocationFile(path, secrets.token_bytes), lambda: now)
    ledger.load()
    return ledger.is_revoked


def _values(found: Inspection) -> dict[str, Any] | None:
    import attrs

    return attrs.asdict(found.session) if found.session else None


def _json(found: Inspection) -> bytes:
    import msgspec

    document = {
        "counts": not found.problem,
        "problem": found.problem or None,
        "session": _values(found),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _text(found: Inspection) -> str:
    verdict = f"It does not count: {found.problem}." if found.problem else "It counts."
    values = _values(found) or {}
    if values.get("exp"):
        values["exp"] = datetime.fromtimestamp(values["exp"], UTC).isoformat(
            " ", "seconds"
        )
    width = max(map(len, values), default=0)
    lines = [f"{key:<{width}}  {value}" for key, value in values.items()]
    return "\n".join([*lines, verdict])
