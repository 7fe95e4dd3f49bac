"""Programs on the bus that are no workers."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor  # noqa: TID251 - real sockets
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

import tbtwist
from tbtwist.apps.items import BROADCAST_TOPIC
from tbtwist.broker.service import BrokerService
from tbtwist.bus.config import BusConfig
from tbtwist.bus.core import BusCore
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.keys import BusKeys
from tbtwist.bus.zeromq import ZmqBus
from tbtwist.client import Program
from tbtwist.config.loading import examine
from tbtwist.errors import CallRefused, ConfigNotFound, NoBroker, NoBus, Unroutable
from tbtwist.events import Item, Publication
from tbtwist.identity import WorkerId, new_conn_id
from tbtwist.tracing import Trace
from tests.bus.fakes import Seen, on_tcp
from tests.integration.system import folder, threads

reactor: Any = global_reactor
CONFIG = "zmq:\n  heartbeat_period_s: 0.1\n  heartbeat_timeout_s: 2\n"
PATIENCE_S = 30.0


class ProgramCase(TestCase):
    """A broker in this process, and programs in threads."""

    timeout = 120

    def setUp(self) -> None:
        """Make a data directory with a configuration, and start the broker."""
        self.dir = folder(self)
        self.data_dir = self.dir / "d"
        self.data_dir.mkdir()
        self.config = self.dir / "config.yaml"
        self.config.write_text(CONFIG + self.addresses())
        environ = {"TB_DATA_DIR": str(self.data_dir)}
        loaded = examine(str(self.config), environ, cwd=self.dir, home=self.dir)
        self.settings = loaded.settings
        self.endpoints = Endpoints.for_settings(self.settings, secrets.token_bytes)
        self.broker = BrokerService(
            reactor=reactor,
            endpoints=self.endpoints,
            config=BusConfig.from_settings(self.settings),
            data_dir=self.data_dir,
            random=secrets.token_bytes,
        )
        self.broker.startService()
        self.addCleanup(self.broker.stopService)
        self.in_thread = threads(self)

    def addresses(self) -> str:
        """Return where the bus is, as lines of the configuration."""
        return ""

    def connect(self) -> Program:
        """Join as a script does."""
        return tbtwist.connect(
            self.config, data_dir=self.data_dir, timeout_s=PATIENCE_S
        )

    async def program(self) -> Program:
        """Return a program that is on the bus."""
        program: Program = await self.in_thread(self.connect)
        self.addCleanup(self.in_thread, program.close)
        return program

    async def worker(self, slot: str) -> BusCore:
        """Return a worker's bus."""
        bus = ZmqBus(
            reactor,
            WorkerId.new(slot, 1, secrets.token_bytes),
            self.endpoints,
            BusConfig.from_settings(self.settings),
        )
        self.addCleanup(bus.close)
        bus.announce(ready=True)
        await bus.connect()
        return bus

    async def until(self, reached: Callable[[], object]) -> None:
        """Wait for something that happens in another thread."""
        while not reached():
            await deferLater(reactor, 0.01)

    def has(self, things: list[Any], wanted: object) -> bool:
        """Whether ``wanted`` came last."""
        return bool(things) and things[-1] == wanted

    async def hear(self, speaker: Program, topic: str, heard: list[Any]) -> None:
        """Publish until it is heard: subscriptions take a moment to get around."""
        while not heard:
            speaker.publish(topic, {"probe": True})
            await deferLater(reactor, 0.02)


class VerbTests(ProgramCase):
    """What a program can say and hear."""

    async def test_events(self) -> None:
        """A program hears what another one publishes, in order; ``def`` or ``async``."""
        one, two = await self.program(), await self.program()
        plain: list[Any] = []
        coroutines: list[Any] = []
        one.on_event("news")(plain.append)

        @one.on_event("news")
        async def heard(payload: Any) -> None:
            coroutines.append(payload)

        await self.hear(two, "news", plain)
        for number in range(20):
            self.assertTrue(two.publish("news", {"n": number}))
        for things in (plain, coroutines):
            await self.until(partial(self.has, things, {"n": 19}))
            numbers = [each["n"] for each in things if "n" in each]
            self.assertEqual(numbers, list(range(20)))

    async def test_events_of_workers(self) -> None:
        """Programs and applications hear each other."""
        program, http = await self.program(), await self.worker("http-1")
        heard: Seen[Publication] = Seen()
        http.subscribe("app.news", heard)
        await self.hear(program, "news", heard.things)
        self.assertEqual(heard.things[0].item.event.payload, {"probe": True})

    async def test_calls(self) -> None:
        """Workers and programs answer a program's questions, in every form."""
        program, other = await self.program(), await self.program()
        http = await self.worker("http-1")

        async def double(call: Any) -> object:
            return call.payload * 2

        http.serve("app.double", double)

        @other.serve("triple")
        async def triple(payload: Any) -> object:
            return payload * 3

        def ask(*question: Any) -> Deferred[Any]:
            return self.in_thread(program.call_and_wait, *question)

        self.assertEqual(await ask("http", "double", 21), 42)
        self.assertEqual(await ask("http*", "double", "a"), ["aa"])
        self.assertEqual(await ask(other.slot, "triple", 3), 9)
        with self.assertRaises(CallRefused):
            await ask("http-1", "unheard")
        with self.assertRaises(Unroutable):
            await ask("ws", "double", 1, 3600)

    async def test_traces(self) -> None:
        """A program works under traces, and hands them on, as an application does."""
        program, other = await self.program(), await self.program()
        trace = Trace("ab" * 16, "cd" * 8, sampled=True)

        @other.serve("where")
        def where(_: object) -> object:
            found = tbtwist.current_trace()
            return found and [found.trace_id, found.parent_id]

        def ask() -> object:
            with tbtwist.use_trace(trace):
                return program.call_and_wait(other.slot, "where")

        told = await self.in_thread(ask)
        self.assertEqual(told, [trace.trace_id, trace.span_id])
        told = await self.in_thread(program.call_and_wait, other.slot, "where")
        self.assertIsNone(told)

    async def test_connections(self) -> None:
        """A program sends to a connection, and to a channel."""
        program, ws = await self.program(), await self.worker("ws-1")
        taken: Seen[Item] = Seen()
        told: Seen[Publication] = Seen()
        ws.on_send(taken)
        ws.subscribe(BROADCAST_TOPIC, told)
        conn_id = new_conn_id(ws.identity, secrets.token_bytes)
        self.assertTrue(program.ws_send(conn_id, {"a": 1}))
        self.assertFalse(program.ws_send("nobody", {"a": 1}))
        await taken.count(1)
        self.assertEqual(taken.things[0].body, b'{"a":1}')
        while not told.things:
            self.assertTrue(program.ws_broadcast("room", "hi"))
            await deferLater(reactor, 0.02)
        self.assertEqual(told.things[0].item.body, b"hi")

    async def test_no_keys(self) -> None:
        """A program gets no WebSocket messages, and nobody waits for it."""
        await self.program()
        ws = await self.worker("ws-1")
        await self.until(lambda: len(ws._around.table.members) == 2)
        self.assertIsNone(ws._around.table.choose("key"))
        self.assertTrue(self.broker.table.anybody_waits)
        await ws.close()
        self.assertFalse(self.broker.table.anybody_waits)
        self.assertEqual(len(self.broker.table.workers), 1)

    async def test_asyncio(self) -> None:
        """In asyncio code calls are awaited, and handlers run on the program's loop."""
        other = await self.program()

        @other.serve("double")
        def double(payload: int) -> int:
            return 2 * payload

        async def main() -> list[Any]:
            loops: list[Any] = []
            bus = await tbtwist.connect_async(
                self.config, data_dir=self.data_dir, timeout_s=PATIENCE_S
            )
            async with bus:
                heard = asyncio.Event()

                @bus.on_event("news")
                async def news(_: Any) -> None:
                    loops.append(asyncio.get_running_loop())
                    heard.set()

                while not heard.is_set():
                    bus.publish("news", {})
                    await asyncio.sleep(0.02)
                answer = await bus.call(other.slot, "double", 21)
                return [answer, loops[0] is asyncio.get_running_loop()]

        self.assertEqual(await self.in_thread(asyncio.run, main()), [42, True])


class TcpTests(VerbTests):
    """The same over TCP, with the keys of the data directory."""

    def addresses(self) -> str:
        """Return ports that ZeroMQ just had."""
        there = on_tcp(BusKeys.new(secrets.token_bytes))
        return (
            f"  pub_endpoint: {there.subscribers}\n  sub_endpoint: {there.publishers}\n"
            f"  req_endpoint: {there.broker}\n  http_to_ws_endpoint: {there.sends}\n"
        )


class LifeTests(ProgramCase):
    """Joining, leaving, and being given up."""

    async def test_leaving(self) -> None:
        """Who leaves is gone for everybody at once; leaving twice is fine."""
        program = await self.program()
        self.assertTrue(program.connected)
        self.assertEqual(len(self.broker.table.workers), 1)
        await self.in_thread(program.close)
        await self.in_thread(program.close)
        self.assertEqual(self.broker.table.workers, ())
        self.assertFalse(program.connected)
        self.assertFalse(program.publish("news", {}))
        with self.assertRaises(NoBus):
            await self.in_thread(program.call_and_wait, "http", "double", 1)
        names = {thread.name for thread in threading.enumerate()}
        self.assertNotIn("tbtwist-bus", names)

    async def test_last_words(self) -> None:
        """What a script says before it leaves arrives, though it leaves at once."""
        ws, other = await self.worker("ws-1"), await self.program()
        taken: Seen[Item] = Seen()
        heard: Seen[Publication] = Seen()
        ws.on_send(taken)
        ws.subscribe("app.news", heard)
        await self.hear(other, "news", heard.things)
        before = len(heard.things)
        conn_id = new_conn_id(ws.identity, secrets.token_bytes)

        def speak() -> None:
            with self.connect() as program:
                for number in range(300):
                    program.ws_send(conn_id, number)
                    program.publish("news", {"n": number})

        await self.in_thread(speak)
        self.assertEqual(len(taken.things), 300)
        await heard.until(
            lambda things: (
                [one.item.event.payload.get("n") for one in things[before:]][-1:]
                == [299]
            )
        )

    async def test_given_up_for_dead(self) -> None:
        """A program that slept too long joins again, with all it listens to."""
        one, two = await self.program(), await self.program()
        heard: list[Any] = []
        one.on_event("news")(heard.append)
        await self.hear(two, "news", heard)
        (before,) = (n for n in self.broker.table.workers if n.startswith(one.slot))
        self.broker.table._put_out(before)
        await self.until(
            lambda: any(
                name.startswith(one.slot + ".") and name != before
                for name in self.broker.table.workers
            )
        )
        heard.clear()
        await self.hear(two, "news", heard)

    async def test_waiting_for_oneself(self) -> None:
        """A handler on the bus' thread is told that it cannot wait there."""
        program = await self.program()
        refused: list[str] = []

        @program.on_event("news")
        async def wait(_: Any) -> None:
            for what in (program.close, lambda: program.call_and_wait("http", "x")):
                try:
                    what()
                except RuntimeError as error:
                    refused.append(str(error))

        await self.hear(program, "news", refused)
        self.assertIn("await instead", refused[0])
        self.assertIn("call_and_wait", refused[1])

    async def test_no_broker(self) -> None:
        """Without a broker the error says where there is none, and nothing stays."""
        self.broker.stopService()

        def fails() -> str:
            try:
                tbtwist.connect(self.config, data_dir=self.data_dir, timeout_s=0.2)
            except NoBroker as error:
                return str(error)
            return ""

        said = await self.in_thread(fails)
        self.assertIn(str(self.data_dir), said)
        self.assertIn("within 0.2 s", said)
        names = {thread.name for thread in threading.enumerate()}
        self.assertNotIn("tbtwist-bus", names)

    async def test_no_such_place(self) -> None:
        """A data directory that is not there is not made; a lost file is named."""
        missing = self.dir / "missing"
        error = self.assertRaises(NoBroker, tbtwist.connect, data_dir=missing)
        self.assertIn("no such directory", str(error))
        self.assertFalse(missing.exists())
        self.assertRaises(ConfigNotFound, tbtwist.connect, self.dir / "nowhere.yaml")

    async def test_a_script_that_just_ends(self) -> None:
        """A script that forgets to leave ends all the same, and has left."""
        script = (
            "import sys, tbtwist; bus = tbtwist.connect(sys.argv[1], data_dir=sys.argv[2], "
            "timeout_s=30); print(bus.slot)"
        )
        done = await self.in_thread(
            subprocess.run,
            [sys.executable, "-c", script, str(self.config), str(self.data_dir)],
            capture_output=True,
            text=True,
            cwd=Path(tbtwist.__file__).parent.parent,
            timeout=60,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.startswith("client-"))
        self.assertEqual(self.broker.table.workers, ())
