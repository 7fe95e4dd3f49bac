"""The application that the end-to-end tests serve, and clients for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

MODULE = """
import os, time
from tbtwist import Result, RequestData, export

@export(mod_name="Probe", name="who", level=0)
async def who(value: int = 0):
    return Result.ok({"pid": os.getpid(), "value": value})

@export(mod_name="Probe", name="slow", level=0)
def slow(seconds: float = 0.0):
    time.sleep(seconds)
    return {"slept": seconds}

@export(mod_name="Probe", name="login", level=0)
async def login(name: str, request: RequestData):
    request.session.login(user_id="u-" + name, user_name=name, level=1)
    return "in"

@export(mod_name="Probe", name="secret")
async def secret(request: RequestData):
    return {"user": request.session.user_name}

@export(mod_name="Probe", name="fails", level=0)
async def fails():
    raise RuntimeError("the database password is hunter2")

@export(mod_name="Probe", name="shout", level=0)
async def shout(app, text: str):
    return app.ws_broadcast("Probe/room", {"type": "told", "text": text})

@export(mod_name="Probe", name="members", level=0)
async def members(app):
    return await app.ws_presence("Probe/room")

@export(mod_name="Probe", websocket_handler="room", level=0)
def room(app):
    async def on_connect(conn_id, session):
        return {"type": "hello", "user": session["user_name"], "pid": os.getpid()}
    async def on_message(conn_id, payload, **more):
        if isinstance(payload, bytes):
            return payload[::-1]
        if "all" in payload:
            app.ws_broadcast("Probe/room", {"type": "told", "text": payload["all"]})
            return None
        return {"type": "echo", "n": payload["n"], "pid": os.getpid(),
                "again": more.get("redelivered", False)}
    async def on_disconnect(conn_id):
        with open("left.txt", "a") as left:
            left.write(conn_id + "\\n")
    return {"on_connect": on_connect, "on_message": on_message,
            "on_disconnect": on_disconnect}
"""

FILES = {"probe.py": MODULE}
TIMEOUT_S = 30.0


def config(http: int = 2, ws: int = 1) -> str:
    """Return a configuration with so many workers, on free ports."""
    return f"""
toolbox:
  modules: [probe]
http_worker:
  port: 0
  workers: {http}
  drain_timeout_s: 3
ws_worker:
  port: 0
  workers: {ws}
  drain_timeout_s: 2
manager:
  web_ui_port: 0
"""


def get(url: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body of a GET; in a thread."""
    return fetch(urllib.request.Request(url, headers=headers))


def post(url: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body of a POST; in a thread."""
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    return fetch(request)


def fetch(request: urllib.request.Request) -> tuple[int, dict[str, str], str]:
    """Send a request; an error status is an answer like another."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


@contextmanager
def socket(port: int, path: str = "/ws/Probe/room", **more: Any) -> Iterator[Talk]:
    """Open a WebSocket with a client of another make; in a thread."""
    with connect(f"ws://127.0.0.1:{port}{path}", **more) as connection:
        yield Talk(connection)


class Talk:
    """A conversation in JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, **message: object) -> None:
        """Send a JSON object."""
        self.connection.send(json.dumps(message))

    def hear(self) -> dict[str, Any]:
        """Return the next JSON message."""
        return dict(json.loads(self.connection.recv(TIMEOUT_S)))

    def closed(self) -> int:
        """Return the code that the server closes with; pass over what comes before."""
        try:
            while True:
                self.connection.recv(TIMEOUT_S)
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 1006
