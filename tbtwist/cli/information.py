"""``status``, ``ui`` and ``version``: they look and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tbtwist.cli.failures import Failure
from tbtwist.cli.options import World, common_options, find_manager, world

if TYPE_CHECKING:
    from tbtwist.status import Status

_LOOK_EVERY_S = 1.0


@click.command()
@common_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@click.option(
    "-w", "--worker", "worker_id", help="Tell all about this one: its ends, too."
)
@click.pass_context
def status(
    ctx: click.Context, worker_id: str | None, *, as_json: bool, watch: bool
) -> None:
    """Show the manager and every worker, or the story of one."""
    here = world(ctx)
    client = here.connect(Path(find_manager(ctx).settings.data_dir))
    if worker_id is not None:
        _tell(here, client.status(), worker_id, as_json=as_json)
        return
    _show(here, client.status(), as_json=as_json)
    try:
        while watch:
            here.pause(_LOOK_EVERY_S)
            found = client.status()
            if here.terminal:
                click.clear()
            _show(here, found, as_json=as_json)
    except KeyboardInterrupt:
        return


def _tell(here: World, found: Status, worker_id: str, *, as_json: bool) -> None:
    import msgspec

    from tbtwist.cli.rendering import story

    worker = next((each for each in found.workers if each.id == worker_id), None)
    if worker is None:
        known = ", ".join(each.id for each in found.workers)
        raise Failure(f"There is no worker {worker_id}; there are: {known}.")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(worker), indent=2))
    else:
        click.echo(story(worker, here.now()), nl=False)


def _show(here: World, found: Status, *, as_json: bool) -> None:
    from tbtwist.cli.rendering import coloured, document, plain

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
