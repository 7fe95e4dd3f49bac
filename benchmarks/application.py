"""What is served in the benchmarks: one API function and one WebSocket handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tbtwist import RequestData, Result, export


@export(mod_name="Bench", name="greet", level=1, request_as_kwarg=True)
async def greet(name: str, request: RequestData | None = None) -> Result:
    """Greet ``name``, for somebody who is signed in."""
    who = request.session.user_name if request is not None else ""
    return Result.ok({"hello": name, "from": who})


@export(mod_name="Bench", websocket_handler="echo", level=0)
def echo() -> dict[str, Callable[..., Any]]:
    """Serve ``/ws/Bench/echo``, which sends everything back."""

    async def on_message(payload: Any) -> Any:
        return payload

    return {"on_message": on_message}
