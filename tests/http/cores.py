"""Cores with one answer, and bodies that are watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from tbtwist.api.response import Response
from tests.http.memory import MemoryServer


class Core:
    """A core that always has the same answer; for the rest, the one behind it."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        self.answer: Response | Deferred[Response] = Response(200)

    @classmethod
    def before(cls, server: MemoryServer) -> Core:
        """Put one in front of a server's core."""
        core = cls(server.application.dispatcher)
        house: Any = server.site.house
        house.dispatcher = core
        return core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def handle(self, request: object) -> Response:
        """Answer."""
        answer = self.answer
        return answer if isinstance(answer, Response) else await answer


class Pieces:
    """A stream that counts what was taken of it; it has no end unless ``last``."""

    def __init__(self) -> None:
        self.given = 0
        self.closed = 0
        self.limit = self.last = 10**9
        self.on_limit: Callable[[], object] = lambda: None

    async def next(self) -> bytes | None:
        """Return a piece."""
        if self.given == self.last:
            return None
        self.given += 1
        if self.given == self.limit:
            self.on_limit()
        return b"piece"

    async def close(self) -> None:
        """Count."""
        self.closed += 1
