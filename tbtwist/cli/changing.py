"""``update``, ``scale``, ``worker-start`` and ``worker-stop``: while everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from tbtwist.cli.failures import Failure
from tbtwist.cli.options import common_options, find_manager, world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tbtwist.config.schema import Settings
    from tbtwist.control.client import ControlClient
    from tbtwist.status import UpdateStep

_Serving = Literal["http", "ws"]
_KINDS = ("http", "ws")
_SERVING: tuple[_Serving, ...] = ("http", "ws")
_MOST_WORKERS = 256

_type = click.option(
    "-t",
    "--type",
    "role",
    type=click.Choice(_KINDS),
    required=True,
    help="Which kind of worker.",
)


def _client(ctx: click.Context) -> ControlClient:
    settings = find_manager(ctx).settings
    return world(ctx).control(Path(settings.data_dir))


@click.command()
@common_options
@click.option("--role", type=click.Choice(_KINDS), help="Only these workers.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a step.")
@click.option(
    "--prove", is_flag=True, help="Be clients meanwhile; fail if they feel it."
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where --prove writes its report (JSON); default: run/update.json in data_dir.",
)
@click.pass_context
def update(
    ctx: click.Context,
    role: str | None,
    report: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
    prove: bool,
) -> None:
    """Replace the workers by new ones that have the present code and configuration.

    One after another, and nobody notices: each new worker must be ready before it
    takes over. If one does not get ready, the old ones serve on and the exit code
    is 1.
    """
    settings = find_manager(ctx).settings
    client = world(ctx).control(Path(settings.data_dir))
    roles: tuple[_Serving, ...] = (cast("_Serving", role),) if role else _SERVING
    if dry_run:
        click.echo("\n".join(client.plan(roles)) or "Nothing to do.")
    elif prove:
        _prove(
            settings, client, lambda: _update(client, roles, as_json=as_json), report
        )
    else:
        _update(client, roles, as_json=as_json)


def _update(
    client: ControlClient, roles: tuple[_Serving, ...], *, as_json: bool
) -> None:
    done: list[str] = []
    for step in client.update(roles):
        click.echo(_as_json(step) if as_json else _sentence(step))
        if step.step in {"gone", "started", "stopped", "moved"}:
            done.append(step.worker)
    if not as_json:
        click.echo(f"Updated: {', '.join(done) or 'there was nothing to do'}.")


def _prove(
    settings: Settings,
    client: ControlClient,
    work: Callable[[], None],
    report: Path | None,
) -> None:
    from tbtwist.cli.proving import Load, hosts_of, prove, visitor

    load = Load(cookie=visitor(settings))
    found = prove(client.status(), hosts_of(settings), load, work)
    path = report or Path(settings.data_dir) / "run" / "update.json"
    found.write(path)
    click.echo("\n".join([*found.sentences(), f"The report is in {path}."]), err=True)
    if not found.ok:
        raise Failure(found.error or "The update was felt.")


def _as_json(step: UpdateStep) -> str:
    import msgspec

    return msgspec.json.encode(step).decode()


def _sentence(step: UpdateStep) -> str:
    number, detail = step.generation, step.detail
    return step.worker + {
        "starting": f": generation {number} starts",
        "ready": f": generation {number} serves",
        "draining": f": generation {number} finishes what it has begun",
        "gone": f": generation {number} has left: {detail}",
        "failed": f": generation {number} is sent away",
    }.get(step.step, f": {step.step}")


@click.command()
@common_options
@_type
@click.argument("count", type=click.IntRange(0, _MOST_WORKERS))
@click.pass_context
def scale(ctx: click.Context, role: _Serving, count: int) -> None:
    """Start or stop workers until there are COUNT of a kind."""
    _client(ctx).scale(role, count)
    click.echo(f"{role}: {count} worker{'' if count == 1 else 's'}")


@click.command()
@common_options
@_type
@click.pass_context
def worker_start(ctx: click.Context, role: _Serving) -> None:
    """Start one more worker; print its id when it serves."""
    click.echo(_client(ctx).start_worker(role))


@click.command()
@common_options
@click.option("-w", "--worker", "worker_id", required=True, help="Its id, as in ws-2.")
@click.pass_context
def worker_stop(ctx: click.Context, worker_id: str) -> None:
    """Let one worker finish what it has begun, then leave for good."""
    _client(ctx).stop_worker(worker_id)
    click.echo(f"Stopped: {worker_id}")
