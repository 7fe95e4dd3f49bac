"""``desktop``: everything in one process, for a desktop shell."""

from __future__ import annotations

import click

from tbtwist.cli.options import common_options, config_file, is_verbose, world

_TWISTD = "from twisted.scripts.twistd import run; run()"
_PORT = click.IntRange(0, 65535)


@click.command()
@common_options
@click.option(
    "--http-port", metavar="N", type=_PORT, help="Default: 8000; 0: a free one."
)
@click.option(
    "--ws-port", metavar="N", type=_PORT, help="Default: 8001; 0: a free one."
)
@click.option("--mode", hidden=True, help="Accepted; it is tauri.")
@click.pass_context
def desktop(
    ctx: click.Context, http_port: int | None, ws_port: int | None, mode: str | None
) -> None:
    """Run everything in this one process, as a desktop program does."""
    from tbtwist.desktop.mode import variables

    del mode  # ToolBoxV2's shell gives it
    here = world(ctx)
    here.environ = {**here.environ, **variables(http_port, ws_port)}
    loaded = here.load(config_file(ctx))
    here.become(
        (
            *(here.executable, "-c", _TWISTD, "-n", "tbworkers", "--role=all"),
            *(("--verbose",) if is_verbose(ctx) else ()),
            *(("--config", str(loaded.path)) if loaded.path else ()),
        )
    )
