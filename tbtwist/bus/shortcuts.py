"""Calls straight from one worker to another, past the broker.

Half the hops, and the caller knows who answers, so that it need not wait for the
deadline when that one dies. Only on UNIX sockets, in the directory that belongs to
the bus' user; over TCP, and in one process, calls go through the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import attrs


class Shortcuts(Protocol):
    """Ways to other workers."""

    @property
    def open(self) -> bool:
        """Whether others can reach us."""

    def ask(self, callee: str, frames: Sequence[bytes]) -> bool:
        """Send a question; False when there is no way, or no room."""

    def answer(self, caller: str, frames: Sequence[bytes]) -> bool:
        """Answer somebody who asked us on this way; False when it has gone."""

    def gone(self, identities: Iterable[str]) -> None:
        """Forget those who are gone."""

    def begin(
        self, asked: Callable[[Sequence[bytes]], None], answered: Callable[..., None]
    ) -> None:
        """Be there for others; questions and answers come in from now on."""

    def close(self) -> None:
        """Free everything; calling this twice is fine."""


@attrs.frozen
class NoShortcuts:
    """Everything goes through the broker."""

    open: bool = False

    def ask(self, callee: str, frames: Sequence[bytes]) -> bool:  # noqa: ARG002
        """Know no way."""
        return False

    def answer(self, caller: str, frames: Sequence[bytes]) -> bool:  # noqa: ARG002
        """Know no way."""
        return False

    def gone(self, identities: Iterable[str]) -> None:
        """Have nobody to forget."""

    def begin(
        self, asked: Callable[[Sequence[bytes]], None], answered: Callable[..., None]
    ) -> None:
        """Wait for nobody."""

    def close(self) -> None:
        """Have nothing to free."""
