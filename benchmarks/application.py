"""What is served in the benchmarks: one API function and one WebSocket handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tbtwist import App, RequestData, Result, export


@export(mod_name="Bench", name="greet", level=1, request_as_kwarg=True)
async def greet(name: str, request: RequestData | None = None) -> Result:
    """Greet ``name``, for somebody who is signed in."""
    who = request.session.user_name if request is not None else ""
    return Result.ok({"hello": name, "from": who})


@export(mod_name="Bench", websocket_handler="echo", level=0)
def echo(app: App) -> dict[str, Callable[..., Any]]:
    """Serve ``/ws/Bench/echo``: it sends JSON back, and everything else to all."""

    async def on_message(payload: Any) -> Any:
        if "raw" not in payload:
            return payload
        app.ws_broadcast("Bench/echo", {"type": "told", "text": payload["raw"]})
        return None

    return {"on_message": on_message}
