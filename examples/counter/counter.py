"""A WebSocket that many people share: everybody sees how often anybody pressed.

Start it with ``tbtwist start -c examples/counter/config.yaml``, and open
http://127.0.0.1:8000/ in two windows.

The number must not live in one worker's memory: there are several http workers,
and any of them may handle a press. Here SQLite keeps it, in a file that all of
them open, and handlers are plain functions, so that a thread waits for the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tbtwist import App, export

CHANNEL = "Counter/presses"
FILE = Path(os.environ.get("TB_DATA_DIR", Path.home() / ".tbtwist")) / "counter.db"
CREATE = "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY, presses INTEGER)"
PRESS = """INSERT INTO counter VALUES (1, :times)
           ON CONFLICT (id) DO UPDATE SET presses = presses + :times
           RETURNING presses"""


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(FILE, timeout=10)
    try:
        with connection:
            connection.execute(CREATE)
            yield connection
    finally:
        connection.close()


def presses(times: int = 0) -> int:
    """Count ``times`` presses more; return how many there have been."""
    with _database() as database:
        ((total,),) = database.execute(PRESS, {"times": times}).fetchall()
    return int(total)


@export(mod_name="Counter", websocket_handler="presses", level=0)
def counter(app: App) -> dict[str, Callable[..., Any]]:
    """Serve ``/ws/Counter/presses``; its connections are members of that channel."""

    def on_connect() -> dict[str, object]:
        return {"event": "presses", "data": presses()}  # to the newcomer alone

    def on_message(payload: Any) -> dict[str, object] | None:
        if not isinstance(payload, dict) or payload.get("type") != "press":
            return {"type": "error", "message": 'send {"type": "press"}'}
        app.ws_broadcast(CHANNEL, {"event": "presses", "data": presses(1)})
        return None

    return {"on_connect": on_connect, "on_message": on_message}
