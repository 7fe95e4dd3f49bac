"""``start``, ``stop`` and ``restart``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tbtwist.cli.failures import Failure
from tbtwist.cli.options import (
    World,
    common_options,
    config_file,
    find_manager,
    is_verbose,
    world,
)

if TYPE_CHECKING:
    from tbtwist.cli.launching import Died, NotReady
    from tbtwist.config.loading import Loaded
    from tbtwist.status import Status


_demo = click.option("--demo", is_flag=True, help="Serve the bundled chat example.")
_daemon = click.option(
    "-d", "--daemon", is_flag=True, help="Run in the background; return when it serves."
)
_reload = click.option(
    "--reload", is_flag=True, help="Replace the http workers when code changes."
)
_log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="How the log files are written; default: logging.format.",
)
_timeout = click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="How long work in progress may take; default: manager.stop_timeout_s.",
)


@click.command()
@common_options
@_demo
@_daemon
@_reload
@_log_format
@click.pass_context
def start(
    ctx: click.Context,
    log_format: str | None,
    *,
    demo: bool,
    daemon: bool,
    reload: bool,
) -> None:
    """Start the manager, which starts and watches the workers.

    Stays in the foreground; Ctrl-C stops everything.
    """
    loaded = _load(ctx, demo=demo)
    _start(ctx, loaded, daemon=daemon, reload=reload, log_format=log_format)


@click.command()
@common_options
@_timeout
@click.pass_context
def stop(ctx: click.Context, timeout_s: float | None) -> None:
    """Let the workers finish what they do, then stop everything."""
    _stop(ctx, find_manager(ctx), timeout_s)


@click.command(short_help="Stop everything, then start it again.")
@common_options
@_demo
@_daemon
@_timeout
@_log_format
@click.pass_context
def restart(
    ctx: click.Context,
    timeout_s: float | None,
    log_format: str | None,
    *,
    demo: bool,
    daemon: bool,
) -> None:
    """Stop everything, then start it again; requests in between are refused."""
    from tbtwist.errors import NoManager

    loaded = _load(ctx, demo=demo)
    try:
        _stop(ctx, loaded, timeout_s)
    except NoManager:
        click.echo("No manager was running.")
    _start(ctx, loaded, daemon=daemon, log_format=log_format)


def _load(ctx: click.Context, *, demo: bool) -> Loaded:
    path = config_file(ctx)
    if demo and path:
        raise click.UsageError("--demo has its own configuration; leave out -c.")
    if demo:
        path = str(files("tbtwist.demo").joinpath("config.yaml"))
    loaded = world(ctx).load(path)
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    return loaded


def _start(
    ctx: click.Context,
    loaded: Loaded,
    *,
    daemon: bool,
    reload: bool = False,
    log_format: str | None = None,
) -> None:
    from tbtwist.cli.launching import ask_status, manager_argv

    here = world(ctx)
    running = ask_status(here.connect(Path(loaded.settings.data_dir)))
    if running is not None:
        where = _where(running)
        click.echo(f"Already running: {where}. Stop it with: tbtwist stop")
        return
    argv = manager_argv(
        here.executable,
        loaded.path,
        verbose=is_verbose(ctx),
        reload=reload,
        background=daemon,
        log_format=log_format,
    )
    if daemon:
        _start_in_background(here, argv, loaded)
    else:
        here.become(argv)


def _where(status: Status) -> str:
    return f"manager pid {status.manager.pid}, {status.manager.http_url}"


def _start_in_background(here: World, argv: tuple[str, ...], loaded: Loaded) -> None:
    from tbtwist.cli.launching import Running, start_in_background
    from tbtwist.cli.rendering import plain

    data_dir = Path(loaded.settings.data_dir)
    timeout_s = loaded.settings.manager.start_timeout_s
    outcome = start_in_background(here, argv, data_dir, timeout_s)
    if not isinstance(outcome, Running):
        raise Failure(_not_started(outcome, data_dir))
    click.echo(f"Serving on {outcome.status.manager.http_url}")
    if outcome.status.manager.ui_url:
        click.echo(f"Web UI: {here.connect(data_dir).login_link()} (works once)")
    click.echo(plain(outcome.status, here.now()), nl=False)


def _not_started(outcome: Died | NotReady, data_dir: Path) -> str:
    from tbtwist.cli.launching import Died, log_file

    log = log_file(data_dir)
    if isinstance(outcome, Died):
        code = outcome.code
        return f"The manager ended (code {code}): {outcome.sentence} (log: {log})"
    return (
        f"Not everything runs: {outcome.reason}. The manager goes on; see "
        "tbtwist status and tbtwist logs, end it with: tbtwist stop"
    )


def _stop(ctx: click.Context, loaded: Loaded, timeout_s: float | None) -> None:
    from tbtwist.cli.launching import stop_manager

    here, settings = world(ctx), loaded.settings
    if timeout_s is None:
        timeout_s = settings.manager.stop_timeout_s
    stopped = stop_manager(here, here.connect(Path(settings.data_dir)), timeout_s)
    if stopped is None:
        raise Failure("The manager was asked to stop but is still there.")
    workers = "".join(f"{worker.id}, " for worker in stopped.workers)
    click.echo(f"Stopped: {workers}manager (pid {stopped.manager.pid}).")
