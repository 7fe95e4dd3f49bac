"""Sessions across real workers: logged out at one, logged out everywhere, for good."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jwt
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.integration.sample import FILES, MODULE, config, get, socket
from tests.integration.system import PATIENCE_S, System

SECRET = "a secret of the tests as long as it must be in production: 64 characters"
PROBE = (
    MODULE
    + """
@export(mod_name="Probe", name="logout", level=0)
async def logout(request: RequestData):
    request.session.logout()
    return "out"
"""
)


class SessionTests(TestCase):
    """Two http workers and one ws worker."""

    timeout = 2 * PATIENCE_S

    async def start(self) -> System:
        """Start them."""
        files = {**FILES, "probe.py": PROBE}
        environ = {"TB_JWT_SECRET": SECRET}
        self.system = await System.start(
            self, config(2, 1), files=files, environ=environ
        )
        return self.system

    async def call(self, worker: int, function: str, **headers: str) -> tuple[int, str]:
        """Call a function at one http worker; return status and new cookie."""
        port = (await self.system.ports("http"))[worker]
        url = f"http://127.0.0.1:{port}/api/Probe/{function}"
        status, given, _ = await self.system.in_thread(get, url, **headers)
        return status, given.get("Set-Cookie", "").partition(";")[0]

    async def is_out(self, worker: int, **headers: str) -> bool:
        """Whether a worker takes nobody for logged in any more."""
        return (await self.call(worker, "secret", **headers))[0] == 401

    def test_logout(self) -> Deferred[None]:
        """A logout at one worker counts at the other, on open WebSockets, and after a crash."""
        return Deferred.fromCoroutine(self.logout())

    async def logout(self) -> None:
        """Log in and out again, and kill who heard of it."""
        system = await self.start()
        _, cookie = await self.call(0, "login?name=ann")
        self.assertEqual((await self.call(1, "secret", Cookie=cookie))[0], 200)
        [port] = await system.ports("ws")
        closed = system.in_thread(watch, port, cookie)
        await system.until(self.one_connection)
        self.assertEqual((await self.call(1, "logout", Cookie=cookie))[0], 200)
        self.assertEqual(await closed, 1008)
        await system.until(partial(self.is_out, 0, Cookie=cookie))
        self.assertTrue(await self.is_out(1, Cookie=cookie))
        for worker_id in ("http-1", "http-2"):
            pid = await system.kill(worker_id)
            await system.until(partial(self.replaced, worker_id, pid))
        for worker in (0, 1):
            self.assertTrue(await self.is_out(worker, Cookie=cookie))
        system.data_dir.joinpath("revocations").stat()

    async def one_connection(self) -> bool:
        """Whether the client below is connected."""
        worker = await self.system.worker("ws-1")
        return bool(worker.get("connections") == 1)

    async def replaced(self, worker_id: str, pid: int) -> bool:
        """Whether a worker runs again, as another process."""
        worker = await self.system.worker(worker_id)
        return bool(worker.get("state") == "running" and worker["pid"] != pid)

    def test_tokens(self) -> Deferred[None]:
        """A token of ToolBoxV2's making opens functions and WebSockets, until it is logged out."""
        return Deferred.fromCoroutine(self.tokens())

    async def tokens(self) -> None:
        """Use a token in each way, and log it out."""
        system = await self.start()
        token = access_token()
        bearer = f"Bearer {token}"
        self.assertEqual((await self.call(0, "secret", Authorization=bearer))[0], 200)
        bad = await self.call(0, "who", Authorization=bearer[:-4] + "AAAA")
        self.assertEqual(bad[0], 401)
        [port] = await system.ports("ws")
        for way in (
            {"path": f"/ws/Probe/room?session_token={token}"},
            {"additional_headers": {"Authorization": bearer}},
            {"subprotocols": [f"bearer.{token}"]},
        ):
            self.assertEqual(await system.in_thread(greeted, port, way), "ann")
        await self.call(0, "logout", Authorization=bearer)
        await system.until(partial(self.is_out, 1, Authorization=bearer))
        refused = {"additional_headers": {"Authorization": bearer}}
        self.assertEqual(await system.in_thread(ended, port, refused), 1008)


def access_token() -> str:
    """Return a token as ToolBoxV2 makes them."""
    now = time.time()  # noqa: TID251 - the workers' clock is the real one
    claims = {"sub": "u-ann", "user_id": "u-ann", "username": "ann", "level": 1}
    times = {"type": "access", "iat": now, "exp": now + 900, "jti": "j-1"}
    return jwt.encode({**claims, **times}, SECRET, "HS256")


def watch(port: int, cookie: str) -> int:
    """Hold a WebSocket open until the server closes it; return its code."""
    with socket(port, additional_headers={"Cookie": cookie}) as talk:
        return talk.closed()


def greeted(port: int, way: dict[str, Any]) -> str:
    """Return whom the handler greets."""
    with socket(port, **way) as talk:
        heard = [talk.hear(), talk.hear()]
    return next(str(each["user"]) for each in heard if each["type"] == "hello")


def ended(port: int, way: dict[str, Any]) -> int:
    """Return the code with which a WebSocket is refused."""
    with socket(port, **way) as talk:
        return talk.closed()
