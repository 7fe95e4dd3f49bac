"""The command ``tbtwist``: its verbs, and how an error reaches the user."""

from __future__ import annotations

import errno

import click
from typing_extensions import override

from tbtwist.cli.changing import scale, update, worker_start, worker_stop
from tbtwist.cli.configuration import config
from tbtwist.cli.desktop import desktop
from tbtwist.cli.failures import explain
from tbtwist.cli.information import status, ui, version
from tbtwist.cli.lifecycle import restart, start, stop
from tbtwist.cli.logs import logs
from tbtwist.cli.nginx import nginx_config, nginx_reload
from tbtwist.cli.options import common_options, is_verbose
from tbtwist.cli.session import session

_EPILOG = """\
\b
Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 no manager is running.
Completion: eval "$(_TBTWIST_COMPLETE=bash_source tbtwist)", or zsh_source.
"""


class Root(click.Group):
    """A group that turns every error into a sentence and an exit code."""

    @override
    def invoke(self, ctx: click.Context) -> object:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # whoever read our output has gone; click ends quietly
            raise explain(error, verbose=is_verbose(ctx)) from error


@click.group(cls=Root, epilog=_EPILOG, context_settings={"max_content_width": 100})
@common_options
def tbtwist() -> None:
    """One server for Python applications: HTTP API, WebSockets, an event bus."""


_VERBS = (
    *(start, stop, restart, status, update, scale, worker_start, worker_stop),
    *(ui, logs, nginx_config, nginx_reload, desktop, config, session, version),
)

for verb in _VERBS:
    tbtwist.add_command(verb)
tbtwist.add_command(
    click.Group(
        "workers",
        {verb.name: verb for verb in _VERBS if verb.name},
        short_help="The same verbs again, as in `tb workers start`.",
    )
)
