"""Rolls the http workers when the application's code changes (``start --reload``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tbtwist.errors import ManagerBusy, TbtwistError
from tbtwist.services import Background, wait

_log = Logger()

_BUSY_PAUSE_S = 0.5
_LOOK_MS = 200
_CODE = (".py", ".yaml", ".yml", ".toml")


class Changes(Protocol):
    """Yields the files that have changed, some at a time, until told to stop."""

    def __call__(
        self, folders: Sequence[Path], stop: threading.Event
    ) -> Iterator[frozenset[Path]]:
        """Watch ``folders``; end soon after ``stop`` is set."""


def watch(folders: Sequence[Path], stop: threading.Event) -> Iterator[frozenset[Path]]:
    """Watch for changes of code and configuration, as `Changes`."""
    from watchfiles import (  # noqa: PLC0415 - large, and seldom needed
        DefaultFilter,
        watch as watch_files,
    )

    def is_code(change: Any, path: str) -> bool:
        return path.endswith(_CODE) and DefaultFilter()(change, path)

    for found in watch_files(
        *folders,
        watch_filter=is_code,
        stop_event=stop,
        rust_timeout=_LOOK_MS,
        raise_interrupt=False,
    ):
        yield frozenset(Path(name) for _, name in found)


class Reloader:
    """Calls ``update`` after changes, one update after another.

    What changes while an update goes on brings another one. ``say`` tells people.
    """

    def __init__(
        self,
        reactor: Any,
        folders: Sequence[Path],
        update: Callable[[], Deferred[None]],
        say: Callable[[str], None],
        changes: Changes = watch,
    ) -> None:
        self._reactor = reactor
        self._folders = folders
        self._update = update
        self._say = say
        self._changes = changes
        self._stopping = threading.Event()
        self._waiting: set[Path] = set()
        self._rolling = False
        self._background = Background()
        self._thread = threading.Thread(target=self._watch, name="reload", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; an update that goes on is the supervisor's to end."""
        self._stopping.set()
        self._background.cancel_all()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        try:
            for found in self._changes(self._folders, self._stopping):
                self._reactor.callFromThread(self._changed, found)
        except Exception:  # noqa: BLE001 - watching is a convenience; serving goes on
            _log.failure("code is not watched any more")

    def _changed(self, found: frozenset[Path]) -> None:
        if self._stopping.is_set():
            return
        self._waiting |= found
        if not self._rolling:
            self._rolling = True
            self._background.spawn("reloading", self._roll())

    async def _roll(self) -> None:
        try:
            while self._waiting:
                names = ", ".join(sorted(path.name for path in self._waiting))
                self._waiting.clear()
                self._say(f"{names} changed; the http workers are replaced …")
                await self._replace()
        finally:
            self._rolling = False

    async def _replace(self) -> None:
        while True:
            try:
                await self._update()
            except ManagerBusy:
                await wait(self._reactor, _BUSY_PAUSE_S)
            except TbtwistError as error:
                self._say(f"{error} The code from before serves on.")
                return
            else:
                self._say("The new code serves.")
                return
