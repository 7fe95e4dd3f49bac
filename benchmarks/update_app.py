"""What is served while workers are replaced: it notes whatever is handled."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.felt import NOTED
from tbtwist import App, export


@export(mod_name="Load", name="tell", level=1)
async def tell(app: App, n: int) -> dict[str, int]:
    """Tell number ``n`` to everybody who listens."""
    app.ws_broadcast("Load/count", {"type": "told", "n": n})
    return {"told": n}


@export(mod_name="Load", websocket_handler="count", level=0)
def count(app: App) -> dict[str, Callable[..., Any]]:  # noqa: ARG001 - what handlers get
    """Serve ``/ws/Load/count``: note every number, then send it back."""
    noted = os.open(os.environ[NOTED], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def on_message(payload: Mapping[str, int]) -> dict[str, object]:
        os.write(noted, f"{payload['client']} {payload['n']}\n".encode())
        return {"type": "echo", "n": payload["n"]}

    return {"on_message": on_message}
