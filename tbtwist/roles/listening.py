"""What http and ws workers have in common: a listener, and what is made behind it."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import ClassVar

from tbtwist.config.schema import HttpWorker, WsWorker
from tbtwist.net.listening import url_of
from tbtwist.roles.process import Process


class ListeningRole(ABC):
    """Takes its port first, and gives it back if anything else is not to be had."""

    kind: ClassVar[str]

    def __init__(self, process: Process, config: HttpWorker | WsWorker) -> None:
        self._process = process
        self._place = config
        self._listener: socket.socket | None = None

    @property
    def place(self) -> str:
        """Return the address that is listened on."""
        return url_of(self._listener, self.kind) if self._listener else "nothing yet"

    def bind(self) -> None:
        """Take the port, and prepare everything that can fail."""
        place = self._place
        self._listener = self._process.listener(
            self.kind, place.host, place.port, place.backlog
        )
        try:
            self._prepare()
        except BaseException:
            self.unbind()
            raise

    def unbind(self) -> None:
        """Give the port back."""
        if self._listener is not None:
            self._listener.close()

    @abstractmethod
    def _prepare(self) -> None:
        """Make what stands behind the listener."""
