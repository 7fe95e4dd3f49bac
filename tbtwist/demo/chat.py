"""The module ``Chat``: a few functions over HTTP, and the WebSocket ``/ws/Chat/room``.

Everything here is open to anybody, without an account. What travels over the
WebSocket is described in `tbtwist.demo.room`.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from tbtwist import App, RequestData, Result, __version__, export
from tbtwist.demo.names import GUEST, name_problem, tidy
from tbtwist.demo.room import Message, Room

MODULE: Final = "Chat"
HTTP_PORT: Final = 8000
WS_PORT: Final = 8010
"""As in ``config.yaml`` beside this file."""

_LINES: Final = (
    "Two strands hold what one would drop.",
    "What is the oldest thing on your desk?",
    "I came for the WebSockets and stayed for the company.",
    "Name a bug that you still think of fondly.",
    "Which of the two workers do you think will carry this?",
    "What did you restart today, and did anybody notice?",
    "If this reaches you, the broker is having a good day.",
    "A queue without a bound is a promise to run out of memory.",
)


@export(mod_name=MODULE, name="hello", api=True, level=0)
async def hello(name: str = "world") -> Result:
    """Greet ``name``."""
    return Result.ok({"hello": name})


@export(
    mod_name=MODULE,
    name="login",
    api=True,
    level=0,
    api_methods=["POST"],
    request_as_kwarg=True,
)
async def login(name: str, request: RequestData) -> Result:
    """Be ``name`` from now on; who already has a name keeps the ``user_id``."""
    wanted = tidy(name)
    problem = name_problem(wanted)
    if problem:
        return Result.default_user_error(info=problem, exec_code=422)
    session = request.session
    known = request.is_authenticated
    user_id = session.user_id if known else f"chat-{secrets.token_hex(8)}"
    session.login(user_id=user_id, user_name=wanted, level=1)
    return Result.ok({"name": wanted, "user_id": user_id})


@export(
    mod_name=MODULE,
    name="logout",
    api=True,
    level=0,
    api_methods=["POST"],
    request_as_kwarg=True,
)
async def logout(request: RequestData) -> Result:
    """Be nobody again."""
    request.session.logout()
    return Result.ok({"authenticated": False})


@export(mod_name=MODULE, name="me", api=True, level=0, request_as_kwarg=True)
async def me(request: RequestData) -> Result:
    """Tell who the session says you are."""
    if not request.is_authenticated:
        return Result.ok({"authenticated": False, "name": GUEST, "user_id": ""})
    session = request.session
    return Result.ok(
        {"authenticated": True, "name": session.user_name, "user_id": session.user_id}
    )


@export(mod_name=MODULE, name="fortune", api=True, level=0)
def fortune() -> Result:
    """Return a line to open with; a plain function, so a thread of the pool runs it."""
    thread = threading.current_thread().name
    return Result.ok({"text": secrets.choice(_LINES), "thread": thread})


@export(mod_name=MODULE, name="about", api=True, level=0, request_as_kwarg=True)
async def about(app: App, request: RequestData) -> Result:
    """Tell which worker answers, and on which ports a page finds the others.

    Behind a proxy everything is at the page's own address: no ports are told.
    """
    proxied = request.headers.get("x-forwarded-for") is not None
    ports = {"http_ports": [], "ws_ports": []} if proxied else doors(os.environ)
    return Result.ok({"version": __version__, **handler(app), **ports})


def handler(app: App) -> Message:
    """Return who runs this: the worker's id and its pid."""
    return {"worker": app.name, "pid": os.getpid()}


def doors(environ: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the workers' ports.

    The manager tells those that it bound (``TB_HTTP_PORTS``, ``TB_WS_PORTS``);
    without one there is one worker of each, where the configuration puts it.
    """
    return {
        "http_ports": _ports(environ, "TB_HTTP_PORT", HTTP_PORT),
        "ws_ports": _ports(environ, "TB_WS_PORT", WS_PORT),
    }


def _ports(environ: Mapping[str, str], name: str, usual: int) -> list[int]:
    listed = environ.get(f"{name}S") or environ.get(name) or str(usual)
    return [int(port) for port in listed.split(",")]


@export(mod_name=MODULE, websocket_handler="room", level=0)
def room(app: App) -> dict[str, Callable[..., Any]]:
    """Serve ``/ws/Chat/room``."""
    clock = time.time  # noqa: TID251 - handed on from here, and nowhere else
    open_room = Room(app, now=clock, handler=lambda: handler(app))
    return {
        "on_connect": open_room.on_connect,
        "on_message": open_room.on_message,
        "on_disconnect": open_room.on_disconnect,
    }
