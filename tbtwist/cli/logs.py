"""``logs``: what the workers have said, and say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object a record.")
@click.pass_context
def logs(
    ctx: click.Context,
    chosen: tuple[str, ...],
    count: int,
    *,
    follow: bool,
    as_json: bool,
) -> None:
    """Show the last lines that the workers have logged, in the order of time."""
    folder = Path(find_manager(ctx).settings.data_dir) / "logs"
    open_logs = _Logs(folder, chosen, count)
    show = _print_json if as_json else open_logs.print
    try:
        show(open_logs.look())
        while follow:
            world(ctx).pause(_LOOK_EVERY_S)
            show(open_logs.look())
    except KeyboardInterrupt:
        return
    finally:
        open_logs.close()


@attrs.define(eq=False)
class _Logs:
    """The chosen logs, or all there are: those that come later, too."""

    folder: Path
    chosen: Sequence[str]
    count: int
    tails: dict[str, Tail] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        known = self._known()
        unknown = [worker for worker in self.chosen if worker not in known]
        if unknown or not known:
            there = f"there are: {', '.join(known)}" if known else "there are none"
            raise Failure(
                f"No log of {', '.join(unknown) or 'any worker'} in {self.folder}; "
                f"{there}."
            )

    def _known(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.log"))

    def look(self) -> Iterable[Line]:
        """Return what was added since the last look, in the order of time."""
        from tbtwist.observe.tails import Tail, merged

        found = [tail.more() for tail in self.tails.values()]
        for worker in self.chosen or self._known():
            if worker not in self.tails:
                tail = Tail(worker, self.folder / f"{worker}.log")
                self.tails[worker] = tail
                found.append(tail.last(self.count))
        return merged(found)

    def print(self, lines: Iterable[Line]) -> None:
        """Print text for people, each line with its worker if there are several."""
        from tbtwist.observe.records import readable

        width = max(map(len, self.tails)) if len(self.tails) > 1 else 0
        for line in lines:
            prefix = f"{line.worker:<{width}} | " if width else ""
            for text in readable(line.text).split("\n"):
                click.echo(f"{prefix}{text}")

    def close(self) -> None:
        """Close the files."""
        for tail in self.tails.values():
            tail.close()


def _print_json(lines: Iterable[Line]) -> None:
    from tbtwist.observe.records import as_json

    for record in as_json((line.worker, line.text) for line in lines):
        click.echo(record)
