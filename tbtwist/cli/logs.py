"""``logs``: what the workers have said, and say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tbtwist.cli.failures import Failure
from tbtwist.cli.options import common_options, find_manager, world

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tbtwist.observe.tails import Line, Tail

_LOOK_EVERY_S = 0.2


@click.command()
@common_options
@click.option("-w", "--worker", "chosen", multiple=True, help="Only this one, as ws-1.")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    *("-n", "--lines", "count"),
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="How many lines of each.",
)
@click.pass_context
def logs(
    ctx: click.Context, chosen: tuple[str, ...], count: int, *, follow: bool
) -> None:
    """Show the last lines that the workers have logged, in the order of time."""
    from tbtwist.observe.tails import merged

    folder = Path(find_manager(ctx).settings.data_dir) / "logs"
    tails = _tails(folder, chosen)
    width = max(len(tail.worker) for tail in tails) if len(tails) > 1 else 0
    _print(merged([tail.last(count) for tail in tails]), width)
    try:
        while follow:
            world(ctx).pause(_LOOK_EVERY_S)
            _print(merged([tail.more() for tail in tails]), width)
    except KeyboardInterrupt:
        return


def _tails(folder: Path, chosen: Sequence[str]) -> list[Tail]:
    from tbtwist.observe.tails import Tail

    known = sorted(path.stem for path in folder.glob("*.log"))
    unknown = [worker for worker in chosen if worker not in known]
    if unknown or not known:
        there = f"there are: {', '.join(known)}" if known else "there are none"
        raise Failure(
            f"No log of {', '.join(unknown) or 'any worker'} in {folder}; {there}."
        )
    return [Tail(worker, folder / f"{worker}.log") for worker in chosen or known]


def _print(lines: Iterable[Line], width: int) -> None:
    for line in lines:
        prefix = f"{line.worker:<{width}} | " if width else ""
        click.echo(f"{prefix}{line.text}")
