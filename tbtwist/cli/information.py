"""``status``, ``ui`` and ``version``: they look and change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from tbtwist.cli.options import common_options, find_manager, world


@click.command()
@common_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show the manager and every worker."""
    from tbtwist.cli.rendering import coloured, document, plain

    here = world(ctx)
    settings = find_manager(ctx).settings
    found = here.connect(Path(settings.data_dir)).status()
    if as_json:
        click.echo(document(found))
    elif here.terminal:
        from rich.console import Console

        Console().print(coloured(found, here.now()))
    else:
        click.echo(plain(found, here.now()), nl=False)


@click.command()
@common_options
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@click.pass_context
def ui(ctx: click.Context, *, opens: bool) -> None:
    """Print a link to the web UI; it lets one browser in, within 15 minutes."""
    settings = find_manager(ctx).settings
    link = world(ctx).connect(Path(settings.data_dir)).login_link()
    click.echo(link)
    if opens:
        click.launch(link)


@click.command()
@common_options
def version() -> None:
    """Show the versions of tbtwist, Python and Twisted."""
    import platform
    from importlib.metadata import version as version_of

    from tbtwist import __version__

    python, twisted = platform.python_version(), version_of("twisted")
    click.echo(f"tbtwist {__version__} (Python {python}, Twisted {twisted})")
