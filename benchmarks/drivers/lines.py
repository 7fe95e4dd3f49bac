"""How a driver is told what to do: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Command = Callable[..., Awaitable[dict[str, Any]]]


class Lines:
    """Runs the command that a line names (``do``), with its other keys, in a task."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def serve(self) -> None:
        """Say that we are ready, then obey until the input or a command fails."""
        say({"ready": True})
        self._loop.add_reader(sys.stdin.fileno(), self._read)
        await self._over

    def _read(self) -> None:
        line = sys.stdin.readline()
        if line:
            self._task = self._loop.create_task(self._obey(json.loads(line)))
            self._task.add_done_callback(self._obeyed)
        elif not self._over.done():
            self._over.set_result(None)

    async def _obey(self, request: dict[str, Any]) -> None:
        say(await self._commands[request.pop("do")](**request))

    def _obeyed(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._over.done():
            self._over.set_exception(error)


def say(answer: dict[str, Any]) -> None:
    """Write an answer."""
    print(json.dumps(answer), flush=True)
