"""Clients that come back, through real processes that die or are replaced."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from tbtwist.services import wait_until
from tests.integration.sample import FILES, config, get
from tests.integration.system import PATIENCE_S, System, reactor
from tests.ws.resumable import Reader

ROOM = "Probe/room"
_GONE = (ConnectionClosed, InvalidHandshake, OSError, EOFError, TimeoutError)


@attrs.define(eq=False)
class Listener:
    """A client in the room that comes back, to the next port, until it is stopped."""

    ports: list[int]
    reader: Reader = attrs.Factory(Reader)
    in_room: bool = False
    stopped: threading.Event = attrs.Factory(threading.Event)

    @property
    def texts(self) -> list[str]:
        """Return what the room was told."""
        heard = [json.loads(text) for channel, text in self.reader.heard if channel]
        return [each["text"] for each in heard]

    @property
    def resumptions(self) -> list[dict[str, Any]]:
        """Return how its returns went."""
        return [each for each in self.reader.said if each["type"] == "resumed"]

    def run(self) -> None:
        """Listen; in a thread."""
        for port in cycle(self.ports):
            try:
                self._listen(port)
            except _GONE:
                self.stopped.wait(0.05)
            if self.stopped.is_set():
                return

    def _listen(self, port: int) -> None:
        url = f"ws://127.0.0.1:{port}/ws/Probe/room?{self.reader.query}"
        with connect(url) as connection:
            while not self.stopped.is_set():
                try:
                    message = connection.recv(0.1)
                except TimeoutError:
                    continue
                data = message.encode() if isinstance(message, str) else message
                self.reader.take(data)
                self.in_room |= any(
                    each["type"] == "token" for each in self.reader.said
                )


class ResumeTests(TestCase):
    """Messages of a room for those who were away for a moment."""

    timeout = 240

    async def start(self, ws: int = 2) -> System:
        """Start the sample application, and find its ports."""
        system = await System.start(self, config(2, ws), files=FILES)
        self.http = await system.ports("http")
        self.ws = await system.ports("ws")
        return system

    async def listener(self, system: System, first: int = 0) -> Listener:
        """Return somebody in the room, who came to the worker ``first``."""
        ports = list(islice(cycle(self.ws), first, first + len(self.ws)))
        listener = Listener(ports)
        listening: Deferred[None] = system.in_thread(listener.run)

        async def end() -> None:
            listener.stopped.set()
            await listening

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        await self.until(lambda: listener.in_room, "in the room")
        return listener

    async def until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait for something."""
        self.assertTrue(await wait_until(reactor, reached, PATIENCE_S), what)

    def shout(self, *texts: str) -> None:
        """Tell the room, by HTTP, from the http workers in turn; in a thread."""
        for text, port in zip(texts, cycle(self.http), strict=False):
            status, _, body = get(
                f"http://127.0.0.1:{port}/api/Probe/shout?text={text}"
            )
            assert status == 200, body

    async def heard_in_order(self, listener: Listener, texts: list[str]) -> None:
        """Check that somebody hears exactly this; of each publisher in order."""
        await self.until(lambda: len(listener.texts) >= len(texts), str(listener.texts))
        self.assertEqual(sorted(listener.texts, key=int), texts)
        for start in range(len(self.http)):
            mine = texts[start :: len(self.http)]
            got = [text for text in listener.texts if text in mine]
            self.assertEqual(got, mine)

    async def test_killed(self) -> None:
        """When a ws worker is killed, its clients miss nothing: another one has it."""
        system = await self.start()
        listeners = [await self.listener(system), await self.listener(system, 1)]
        texts = [str(number) for number in range(60)]
        await system.in_thread(self.shout, *texts[:20])
        await system.kill("ws-1")
        await system.in_thread(self.shout, *texts[20:])
        for listener in listeners:
            await self.heard_in_order(listener, texts)
        [resumed] = listeners[0].resumptions
        self.assertIs(resumed["recovered"], True)
        self.assertEqual(listeners[1].resumptions, [])

    async def test_renewed(self) -> None:
        """While all workers are renewed one after another, nobody misses a word."""
        system = await self.start()
        listener = await self.listener(system)
        texts = [str(number) for number in range(10)]
        await system.in_thread(self.shout, *texts)
        await self.renew(system, "http-1", signal.SIGKILL)
        self.http.reverse()
        for worker, how in (("ws-1", signal.SIGTERM), ("ws-2", signal.SIGKILL)):
            texts += await self.talk_while(system, worker, how, len(texts))
        await self.until(lambda: len(listener.texts) >= len(texts), "all of it")
        self.assertEqual(sorted(listener.texts, key=int), texts)
        self.assertEqual(len(listener.resumptions), 2)
        for resumed in listener.resumptions:
            self.assertIs(resumed["recovered"], True, resumed)

    async def talk_while(
        self, system: System, worker_id: str, how: int, first: int
    ) -> list[str]:
        """Renew a worker while somebody talks; return what was said."""
        said: list[str] = []
        renewed = threading.Event()

        def talk() -> None:
            while not renewed.wait(0.02):
                said.append(str(first + len(said)))
                self.shout(said[-1])

        talking: Deferred[None] = system.in_thread(talk)
        await self.renew(system, worker_id, how)
        renewed.set()
        await talking
        return said

    async def renew(self, system: System, worker_id: str, how: int) -> None:
        """Send a signal to a worker, and wait for its successor."""
        pid = (await system.worker(worker_id))["pid"]
        os.kill(pid, how)

        async def is_there() -> bool:
            worker = await system.worker(worker_id)
            return worker.get("state") == "running" and worker["pid"] != pid

        await system.until(is_there, f"another {worker_id}")

    async def test_alone(self) -> None:
        """A new worker that has no colleague knows whether anything was said."""
        system = await self.start(ws=1)
        listener = await self.listener(system)
        await system.in_thread(self.shout, "0")
        await self.heard_in_order(listener, ["0"])
        await system.kill("ws-1")
        await self.until(lambda: len(listener.resumptions) == 1, "back")
        self.assertIs(listener.resumptions[0]["recovered"], True)
        await system.in_thread(self.shout, "1", "2")
        await self.heard_in_order(listener, ["0", "1", "2"])

    async def test_alone_and_missed(self) -> None:
        """What was said while there was no worker is lost, and the client is told."""
        system = await self.start(ws=1)
        listener = await self.listener(system)
        listener.stopped.set()
        await system.in_thread(self.shout, "0")
        await system.kill("ws-1")
        await system.until(system.all_running)
        again = Listener(self.ws, Reader(listener.reader.token))
        listening: Deferred[None] = system.in_thread(again.run)
        await self.until(lambda: bool(again.resumptions), "back")
        again.stopped.set()
        await listening
        self.assertIs(again.resumptions[0]["recovered"], False)

    async def test_presence(self) -> None:
        """Every worker's members are told, from whichever worker one asks."""
        system = await self.start()
        listeners = [await self.listener(system), await self.listener(system, 1)]
        expected = {each.reader.said[0]["conn_id"] for each in listeners}
        for port in self.http:
            url = f"http://127.0.0.1:{port}/api/Probe/members"
            _, _, body = await system.in_thread(get, url)
            members = json.loads(body)["result"]["data"]
            self.assertEqual({each["conn_id"] for each in members}, expected)
            self.assertEqual({each["user_name"] for each in members}, {"anonymous"})
