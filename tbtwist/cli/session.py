"""``session``: what the signed cookie needs."""

from __future__ import annotations

import click

from tbtwist.cli.options import common_options

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
