"""How an error reaches the user: one sentence on stderr, and an exit code."""

from __future__ import annotations

from typing import IO, Any

import click
from typing_extensions import override


class Failure(click.ClickException):
    """The thing asked for failed; the message is all that a user sees."""

    exit_code = 1

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        """Write the sentence to stderr, as it is."""
        click.echo(self.format_message(), file=file, err=True)


class Unmanaged(Failure):
    """No manager is running."""

    exit_code = 3


def explain(error: Exception, *, verbose: bool) -> Failure:
    """Return what a user sees of ``error``: a sentence.

    Only a ``verbose`` one about something unexpected has the traceback with it.
    """
    known = _known(error)
    if known is not None:
        return known
    sentence = f"Something unexpected went wrong ({type(error).__name__})"
    if not verbose:
        return Failure(f"{sentence}; -v shows where.")
    import traceback

    return Failure(f"{''.join(traceback.format_exception(error))}{sentence}.")


def _known(error: Exception) -> Failure | None:
    from tbtwist.errors import NoManager, TbtwistError

    if isinstance(error, NoManager):
        return Unmanaged(f"{error} Start one with: tbtwist start")
    if isinstance(error, TbtwistError):
        return Failure(str(error))
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename}: " if error.filename else ""
        return Failure(f"{what}{error.strerror}.")
    return None
