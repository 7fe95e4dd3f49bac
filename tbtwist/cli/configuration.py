"""``config``: make a configuration file, check it, show what is in effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tbtwist.cli.failures import Failure
from tbtwist.cli.options import common_options, config_file, world

if TYPE_CHECKING:
    from tbtwist.config.loading import Loaded
    from tbtwist.config.ports import PortRange


@click.group()
def config() -> None:
    """Make a configuration file, check it, or show what is in effect."""


@config.command()
@common_options
@click.option("-o", "--output", metavar="FILE", help="Write to FILE, not to stdout.")
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["yaml", "markdown"]),
    default="yaml",
    help="A commented template (yaml) or the reference page (markdown).",
)
@click.pass_context
def generate(ctx: click.Context, output: str | None, form: str, *, force: bool) -> None:
    """Write a template with every key, its meaning and its default."""
    from tbtwist.config.reference import markdown, template

    text = template() if form == "yaml" else markdown()
    if output is None:
        click.echo(text, nl=False)
        return
    path = world(ctx).cwd / output
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        sentence = f"{output} exists already; --force overwrites it."
        raise Failure(sentence) from None
    click.echo(f"Wrote {output}.")


@config.command()
@common_options
@click.pass_context
def validate(ctx: click.Context) -> None:
    """Report every problem as file:line:column: key: what was expected."""
    from tbtwist.auth.secrets import configured_secrets, token_secrets

    loaded = world(ctx).examine(config_file(ctx))
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    token_secrets(loaded.settings, configured_secrets(loaded.settings))
    click.echo(_summary(loaded))


def _summary(loaded: Loaded) -> str:
    from tbtwist.config.ports import port_ranges

    name = f"{loaded.path}" if loaded.path else "No file, so the defaults"
    ranges = ", ".join(_range(ports) for ports in port_ranges(loaded.settings))
    return f"{name}: fine. {loaded.settings.environment.capitalize()} mode; {ranges}."


def _range(ports: PortRange) -> str:
    if ports.count == 1:
        return f"{ports.name(ports.first)} on {ports.first}"
    names = f"{ports.name(ports.first)} to {ports.name(ports.last)}"
    return f"{names} on {ports.first}-{ports.last}"


@config.command()
@common_options
@click.option("--origin", is_flag=True, help="Add where each value comes from.")
@click.pass_context
def show(ctx: click.Context, *, origin: bool) -> None:
    """Print the settings in effect as YAML, with secrets masked."""
    from tbtwist.config.listing import listing

    loaded = world(ctx).examine(config_file(ctx))
    click.echo(listing(loaded.settings, loaded.origins if origin else None), nl=False)
