"""The whole system: the real manager, real children, HTTP and WebSocket clients."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import threading
from collections import Counter as Counts
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tbtwist.bus.keys import BusKeys
from tbtwist.services import wait_until
from tests.bus.fakes import on_tcp
from tests.integration.sample import FILES, config, get, post, socket
from tests.integration.system import TWISTD, Child, System, reactor, spawn, threads


class ServingTests(TestCase):
    """Requests and messages through all processes."""

    timeout = 180

    async def start(self, http: int = 2, ws: int = 1) -> System:
        """Start the sample application."""
        return await System.start(self, config(http, ws), files=FILES)

    async def test_http(self) -> None:
        """Each http worker answers API calls on its own port, in the envelope."""
        system = await self.start()
        pids = set()
        for port in await system.ports("http"):
            url = f"http://127.0.0.1:{port}/api/Probe/who?value=7"
            status, _, body = await system.in_thread(get, url)
            answer = json.loads(body)
            self.assertEqual(200, status)
            self.assertEqual("none", answer["error"])
            self.assertEqual(7, answer["result"]["data"]["value"])
            pids.add(answer["result"]["data"]["pid"])
        workers = (await system.status())["workers"]
        self.assertEqual({w["pid"] for w in workers if w["role"] == "http"}, pids)

    async def test_session(self) -> None:
        """A login on one worker is a session on the other, and on WebSockets."""
        system = await self.start()
        first, second = await system.ports("http")
        [ws] = await system.ports("ws")

        def drive() -> None:
            status, _, body = get(f"http://127.0.0.1:{second}/api/Probe/secret")
            self.assertEqual((401, "Unauthorized"), (status, json.loads(body)["error"]))
            _, headers, _ = get(f"http://127.0.0.1:{first}/api/Probe/login?name=Ada")
            cookie = headers["Set-Cookie"].split(";")[0]
            status, _, body = get(
                f"http://127.0.0.1:{second}/api/Probe/secret", Cookie=cookie
            )
            self.assertEqual({"user": "Ada"}, json.loads(body)["result"]["data"])
            with socket(ws, additional_headers={"Cookie": cookie}) as talk:
                self.assertEqual("connected", talk.hear()["type"])
                self.assertEqual("Ada", talk.hear()["user"])
            status, _, _ = get(
                f"http://127.0.0.1:{second}/api/Probe/secret", Cookie=cookie[:-2] + "AA"
            )
            self.assertEqual(401, status, "a cookie that was tampered with")

        await system.in_thread(drive)

    async def test_websockets(self) -> None:
        """With two ws and two http workers each message is handled once, in order.

        Each answer arrives at its own connection, a broadcast at everyone once.
        """
        system = await self.start(http=2, ws=2)
        ports = await system.ports("ws")

        def drive(number: int) -> list[dict[str, Any]]:
            with socket(ports[number % 2]) as talk:
                heard = [talk.hear(), talk.hear()]
                for n in range(30):
                    talk.say(n=n + 100 * number)
                heard += [talk.hear() for _ in range(30)]
                talk.connection.send(b"abc")
                heard.append({"bytes": talk.connection.recv(30)})
                return heard

        talks = [system.in_thread(drive, n) for n in range(4)]
        served = set()
        for number, heard in enumerate(await gatherResults(talks, consumeErrors=True)):
            self.assertEqual("connected", heard[0]["type"])
            expected = [n + 100 * number for n in range(30)]
            self.assertEqual(expected, [m["n"] for m in heard[2:32]])
            self.assertEqual(b"cba", heard[32]["bytes"])
            served |= {m["pid"] for m in heard[2:32]}
        workers = (await system.status())["workers"]
        self.assertLessEqual(served, {w["pid"] for w in workers if w["role"] == "http"})

    async def test_bus_on_tcp(self) -> None:
        """A configuration with TCP addresses works as it stands; its keys are private."""
        there = on_tcp(BusKeys.new(secrets.token_bytes))
        endpoints = (
            f"zmq:\n  pub_endpoint: {there.subscribers}\n"
            f"  sub_endpoint: {there.publishers}\n"
            f"  req_endpoint: {there.broker}\n"
            f"  http_to_ws_endpoint: {there.sends}\n"
        )
        system = await System.start(self, config(1, 1) + endpoints, files=FILES)
        [port] = await system.ports("ws")

        def drive() -> list[Any]:
            with socket(port) as talk:
                talk.hear(), talk.hear()
                talk.say(n=7)
                number = talk.hear()["n"]
                talk.say(all="news")
                return [number, talk.hear()["text"]]

        self.assertEqual([7, "news"], await system.in_thread(drive))
        mode = (system.data_dir / "bus_keys").stat().st_mode
        self.assertEqual(0o600, mode & 0o777)

    async def test_broadcast(self) -> None:
        """What one client says to the room everybody in it hears exactly once."""
        system = await self.start(http=2, ws=2)
        ports = await system.ports("ws")

        def drive() -> list[list[str]]:
            with (
                socket(ports[0]) as one,
                socket(ports[0]) as two,
                socket(ports[1]) as three,
            ):
                everyone = (one, two, three)
                for talk in everyone:
                    talk.hear(), talk.hear()
                three.say(all="first")
                heard = [[talk.hear()["text"]] for talk in everyone]
                one.say(all="second")
                for talk, texts in zip(everyone, heard, strict=True):
                    texts.append(talk.hear()["text"])
                return heard

        heard = await system.in_thread(drive)
        self.assertEqual([["first", "second"]] * 3, heard)

    async def test_bad_requests(self) -> None:
        """Every mistake of a client gets a status and a sentence, and no internals."""
        system = await self.start(http=1)
        [port] = await system.ports("http")
        base = f"http://127.0.0.1:{port}/api"
        json_type = {"Content-Type": "application/json"}
        await self.refused(system, 404, "NotFound", get, f"{base}/Nope/who")
        await self.refused(system, 404, "NotFound", get, f"{base}/Probe/nope")
        await self.refused(system, 422, "value", get, f"{base}/Probe/who?value=seven")
        await self.refused(system, 400, "name", get, f"{base}/Probe/login")
        await self.refused(
            system, 400, "JSON", post, f"{base}/Probe/who", b'{"value": ', **json_type
        )
        body = await self.refused(
            system, 500, "InternalError", get, f"{base}/Probe/fails"
        )
        self.assertNotIn("hunter2", body)
        await self.refused(
            system, 413, "PayloadTooLarge", post, f"{base}/Probe/who", bytes(17 << 20)
        )

    async def refused(
        self, system: System, status: int, word: str, ask: Any, *args: Any, **more: str
    ) -> str:
        """Check status and wording of an answer; return its body."""
        got, _, body = await system.in_thread(ask, *args, **more)
        self.assertEqual(status, got, body)
        self.assertIn(word, body)
        self.assertEqual({"error", "message"}, set(json.loads(body)))
        return str(body)

    async def test_oversized_message(self) -> None:
        """A WebSocket message over the limit closes that connection with 1009."""
        system = await self.start(http=1)
        [ws] = await system.ports("ws")

        def drive() -> int:
            with socket(ws) as talk:
                talk.hear(), talk.hear()
                talk.connection.send("x" * (2 << 20))
                return talk.closed()

        self.assertEqual(1009, await system.in_thread(drive))

    async def test_no_handler(self) -> None:
        """A message on a path without a handler is answered with an error."""
        system = await self.start(http=1)
        [ws] = await system.ports("ws")

        def drive() -> dict[str, Any]:
            with socket(ws, "/ws/Nope/room") as talk:
                talk.hear()
                talk.say(n=1)
                return talk.hear()

        answer = await system.in_thread(drive)
        self.assertEqual(("error", "NO_HANDLER"), (answer["type"], answer["code"]))


class Counter:
    """Numbers messages over one WebSocket, in a thread, until it is enough."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard: list[int] = []
        self.enough = threading.Event()

    def run(self) -> None:
        """Send the next number once the last one has come back.

        An answer to a message that may have been handled before counts once.
        """
        with socket(self.port) as talk:
            talk.hear(), talk.hear()
            while not self.enough.is_set():
                talk.say(n=len(self.heard))
                answer = talk.hear()
                while answer["again"] and answer["n"] in self.heard:
                    answer = talk.hear()
                self.heard.append(answer["n"])

    async def goes_on(self, beyond: int) -> bool:
        """Whether it has counted further than ``beyond``."""
        return len(self.heard) > beyond


class SupervisionTests(TestCase):
    """What happens when processes die."""

    timeout = 240

    async def start(self, http: int = 2, ws: int = 1) -> System:
        """Start the sample application."""
        return await System.start(self, config(http, ws), files=FILES)

    async def test_status(self) -> None:
        """``status --json`` lists every process with its pid, port and uptime."""
        system = await self.start()
        code, output = await system.command("status", "--json")
        self.assertEqual(0, code, output)
        status = json.loads(output)
        self.assertEqual(1, status["schema_version"])
        self.assertEqual(str(system.data_dir), status["manager"]["data_dir"])
        assert system.manager is not None
        self.assertEqual(system.manager.pid, status["manager"]["pid"])
        ids = [w["id"] for w in status["workers"]]
        self.assertEqual(["broker", "http-1", "http-2", "ws-1"], ids)
        for worker in status["workers"]:
            self.assertEqual("running", worker["state"])
            self.assertGreaterEqual(worker["uptime_s"], 0)
            self.assertIsNone(worker["last_exit"])
            os.kill(worker["pid"], 0)
            self.assertEqual(worker["id"] == "broker", worker["port"] is None)

        async def counted() -> bool:
            broker = await system.worker("broker")
            return bool(broker["bus"].get("workers") == 3)

        await system.until(counted, "the broker's figures")
        table = await system.command("status")
        self.assertIn("http-2", table[1])

    async def test_killed_workers_come_back(self) -> None:
        """Any child that is killed is replaced, and status tells why."""
        system = await self.start()
        for worker_id in ("http-1", "ws-1", "broker"):
            pid = await system.kill(worker_id)
            await system.until(
                partial(self.replaced, system, worker_id, pid), worker_id
            )
            worker = await system.worker(worker_id)
            self.assertEqual("SIGKILL", worker["last_exit"]["signal"])
            self.assertIn("SIGKILL", worker["last_exit"]["reason"])
            self.assertEqual(1, worker["restarts"])
            self.assertEqual(2, worker["generation"])
        [port, _] = await system.ports("http")
        status, _, _ = await system.in_thread(
            get, f"http://127.0.0.1:{port}/api/Probe/who"
        )
        self.assertEqual(200, status)

    async def test_by_hand_beside_a_manager(self) -> None:
        """A role by hand with a managed worker's id is refused, with another it runs."""
        system = await self.start()
        for role in ("http", "ws"):
            pid = (await system.worker(f"{role}-1"))["pid"]
            child = self.by_hand(system, role)
            self.assertEqual(1, await child.ended, child.output)
            (said,) = child.output.strip().splitlines()
            self.assertIn(f"Another {role}-1 already uses", said)
            self.assertIn(f"(pid {pid}). Give this one another --worker-id", said)
        third = self.by_hand(system, "http", "--worker-id=http-3")
        await system.until(partial(self.says, third, "serving"), "serving")
        third.signal("TERM")
        self.assertEqual(0, await third.ended, third.output)

    async def test_a_manager_beside_one_by_hand(self) -> None:
        """A managed worker whose id is taken by hand says so in ``status``."""
        system = await self.start()
        child = self.by_hand(system, "http", "--worker-id=http-3")
        await system.until(partial(self.says, child, "serving"), "serving")
        self.assertEqual(0, await system.stop())
        assert system.config is not None
        system.config.write_text(config(3, 1))
        system.manager = system.spawn_manager()
        await system.until(partial(self.is_refused, system, "http-3"), "refusal")
        reason = (await system.worker("http-3"))["last_exit"]["reason"]
        self.assertIn(f"(pid {child.pid}). It was started by hand", reason)
        child.signal("TERM")
        self.assertEqual(0, await child.ended, child.output)

    def by_hand(self, system: System, role: str, *more: str) -> Child:
        """Start a role as a person would, with the system's data directory."""
        arguments = (*TWISTD, "-n", "tbworkers", f"--role={role}", *more)
        config_path = f"--config={system.config}"
        return spawn(self, (*arguments, config_path), system.environ, cwd=system.root)

    async def says(self, child: Child, words: str) -> bool:
        """Whether a process has said something."""
        self.assertIsNone(child.status, child.output)
        return words in child.output

    async def is_refused(self, system: System, worker_id: str) -> bool:
        """Whether a worker has ended once."""
        return (await system.worker(worker_id)).get("last_exit") is not None

    async def replaced(self, system: System, worker_id: str, pid: int) -> bool:
        """Whether a worker runs again, as another process."""
        worker = await system.worker(worker_id)
        return bool(worker["state"] == "running" and worker["pid"] != pid)

    async def test_messages_survive_an_http_worker(self) -> None:
        """Messages to an http worker that is killed are handled by another.

        Nothing is lost, nothing arrives out of order; what may have been handled
        before is marked.
        """
        system = await self.start(http=2)
        await self.count_through(system, "http-1", "http-2")

    async def test_a_death_that_the_manager_saw_is_known_at_once(self) -> None:
        """Messages move to another worker without waiting for the dead one's silence.

        The time after which silence is a death is longer here than this test may
        take; so nothing but the manager's word can have moved them.
        """
        patient = config(http=2) + "zmq:\n  heartbeat_timeout_s: 3600\n"
        system = await System.start(self, patient, files=FILES)
        await self.count_through(system, "http-1", "http-2")

    async def test_messages_survive_the_broker(self) -> None:
        """Messages on their way when the broker is killed arrive all the same."""
        system = await self.start(http=2)
        await self.count_through(system, "broker")

    async def count_through(self, system: System, *victims: str) -> None:
        """Count over a WebSocket while the victims are killed one after another."""
        [ws] = await system.ports("ws")
        counter = Counter(ws)
        counting = system.in_thread(counter.run)
        try:
            for victim in victims:
                await system.until(partial(counter.goes_on, len(counter.heard) + 10))
                pid = await system.kill(victim)
                await system.until(partial(self.replaced, system, victim, pid), victim)
            await system.until(partial(counter.goes_on, len(counter.heard) + 10))
        finally:
            counter.enough.set()
            await counting
        self.assertEqual(list(range(len(counter.heard))), counter.heard)

    async def test_manager_killed(self) -> None:
        """When the manager is killed its children leave, and a new start works."""
        system = await self.start()
        before = await system.status()
        assert system.manager is not None
        system.manager.signal("KILL")
        await system.manager.ended
        code, output = await system.command("status", "--json")
        self.assertEqual(3, code, output)
        await system.start_again()
        after = await system.status()
        old = {w["pid"] for w in before["workers"]}
        new = {w["pid"] for w in after["workers"]}
        self.assertEqual(set(), old & new)
        generations = {w["id"]: w["generation"] for w in after["workers"]}
        self.assertEqual(2, generations["http-1"])
        self.assertEqual([], sorted(old & set(system.processes())))

    async def test_manager_stands_still(self) -> None:
        """A manager that reads no log for a while holds nobody up, and nobody leaves.

        The access log of so many requests is more than a pipe takes.
        """
        system = await self.start(http=1)
        pids = {each["id"]: each["pid"] for each in (await system.status())["workers"]}
        [port] = await system.ports("http")
        assert system.manager is not None
        system.manager.signal("STOP")
        try:
            answers = await system.in_thread(ask_often, port, 3000)
        finally:
            system.manager.signal("CONT")
        self.assertEqual({200: 3000}, answers)
        after = {each["id"]: each["pid"] for each in (await system.status())["workers"]}
        self.assertEqual(pids, after)
        self.assertEqual(0, await system.stop())


def ask_often(port: int, times: int) -> Counts[int]:
    """Ask again and again over one connection; return how often each status came."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    with closing(connection):
        seen: Counts[int] = Counts()
        for _ in range(times):
            connection.request("GET", "/api/Probe/who")
            answer = connection.getresponse()
            answer.read()
            seen[answer.status] += 1
    return seen


class StoppingTests(TestCase):
    """Ends: orderly, and with nothing left behind."""

    timeout = 180

    async def start(self) -> System:
        """Start the sample application."""
        return await System.start(self, config(), files=FILES)

    async def test_sigterm(self) -> None:
        """SIGTERM drains everything and ends with status 0."""
        system = await self.start()
        self.assertEqual(0, await system.stop())
        self.assertEqual([], system.processes())

    async def test_ctrl_c(self) -> None:
        """A Ctrl-C reaches the whole group; the manager alone decides the order."""
        system = await self.start()
        assert system.manager is not None
        for pid in system.processes():
            with contextlib.suppress(ProcessLookupError):  # the first one ends some
                os.kill(pid, signal.SIGINT)
        self.assertEqual(0, await system.manager.ended)
        self.assertIn("Stopped.", system.manager.output)
        self.assertNotIn("Traceback", system.manager.output)
        self.assertEqual([], system.processes())

    async def test_stop_command(self) -> None:
        """``tbtwist stop`` drains everything; a second one says there is nobody."""
        system = await self.start()
        assert system.manager is not None
        code, output = await system.command("stop")
        self.assertEqual(0, code, output)
        self.assertEqual(0, await system.manager.ended)
        left = [path for path in system.data_dir.rglob("*") if path.is_socket()]
        self.assertEqual([], left, "sockets that nobody listens on")
        code, output = await system.command("stop")
        self.assertEqual(3, code, output)

    async def test_requests_finish(self) -> None:
        """A request that is being answered when the stop comes is answered."""
        system = await self.start()
        [port, _] = await system.ports("http")
        url = f"http://127.0.0.1:{port}/api/Probe/slow?seconds=1.0"
        answer = system.in_thread(get, url)

        async def arrived() -> bool:
            worker = await system.worker("http-1")
            return bool(worker["requests_total"])

        await system.until(arrived, "the request arrived")
        self.assertEqual(0, await system.stop())
        status, headers, body = await answer
        self.assertEqual(200, status, body)
        self.assertEqual({"slept": 1.0}, json.loads(body)["result"]["data"])
        self.assertEqual("close", headers.get("Connection", "").lower())

    async def test_sockets_are_told(self) -> None:
        """WebSockets are closed with 1012 when their worker leaves for good."""
        system = await self.start()
        [ws] = await system.ports("ws")
        ready: Deferred[None] = Deferred()

        def drive() -> int:
            with socket(ws) as talk:
                talk.hear(), talk.hear()
                reactor.callFromThread(ready.callback, None)
                return talk.closed()

        closing = system.in_thread(drive)
        await ready
        self.assertEqual(0, await system.stop())
        self.assertEqual(1012, await closing)

    async def test_everybody_is_seen_off(self) -> None:
        """A stop with open WebSockets is quick, and each handler hears of its end."""
        system = await self.start()
        await self.crowd(system)
        self.assertEqual(0, await system.stop())
        assert system.manager is not None
        self.assertNotIn("longer than", system.manager.output)
        self.assertNotIn("Traceback", system.manager.output)

    async def test_manager_killed_with_sockets(self) -> None:
        """Also when the manager is killed, each handler hears of its end."""
        system = await self.start()
        await self.crowd(system)
        assert system.manager is not None
        system.manager.signal("KILL")
        await system.manager.ended
        gone = await wait_until(reactor, lambda: not system.processes(), 30)
        self.assertTrue(gone, "children stay")

    async def crowd(self, system: System) -> None:
        """Open ten WebSockets that stay until they are closed; check that at the end."""
        [port] = await system.ports("ws")
        opened: list[str] = []

        def stay() -> int:
            with socket(port) as talk:
                talk.hear(), talk.hear()
                opened.append("one")
                return talk.closed()

        in_thread = threads(self, 10)
        codes = gatherResults([in_thread(stay) for _ in range(10)])

        async def all_open() -> bool:
            return len(opened) == 10

        async def check() -> None:
            self.assertEqual([1012] * 10, await codes)
            left = (system.root / "left.txt").read_text().split()
            self.assertEqual(10, len(set(left)))

        self.addCleanup(lambda: Deferred.fromCoroutine(check()))
        await system.until(all_open, "ten connections")

    async def test_started_twice(self) -> None:
        """A second ``start`` says that it already runs, and is no failure."""
        system = await self.start()
        assert system.manager is not None
        code, output = await system.command("start")
        self.assertEqual(0, code, output)
        self.assertIn(str(system.manager.pid), output)
