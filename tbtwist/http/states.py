"""What a connection is doing, one thing at a time."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where a connection is; `tbtwist.http.channel` says how it gets there."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    LINGERING = auto()
    GONE = auto()


READING: Final = (State.IDLE, State.HEAD, State.BODY)
"""Where bytes are taken for requests."""
WAITING: Final = frozenset({State.IDLE, State.ANSWERING})
"""Where what has come may have to wait; elsewhere more of it is needed."""
