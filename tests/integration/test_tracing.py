"""One trace through several processes, as their logs tell it."""

from __future__ import annotations

import json
from typing import Any, Final

from tbtwist.services import wait, wait_until
from tests.integration.byhand import ByHandCase
from tests.integration.sample import config, get, socket
from tests.integration.system import (
    PATIENCE_S,
    TWISTD,
    Child,
    environment,
    folder,
    reactor,
    spawn,
    threads,
)

MODULE: Final = """
import logging
from twisted.logger import Logger
from tbtwist import RequestData, current_trace, export, get_app

app = get_app("shop")
log = Logger(namespace="shop")

@app.serve("stock")
def stock(payload):
    log.info("stock was asked")
    return current_trace().traceparent if current_trace() else None

@app.on_event("sold")
async def sold(payload):
    log.info("sold was heard")

@app.serve("broken")
async def broken(payload):
    raise RuntimeError("out of tea")

@export(mod_name="Shop", name="buy", level=0)
def buy(request: RequestData):
    log.info("buying")
    app.publish("sold", {})
    return request.traceparent

@export(mod_name="Shop", name="ask", level=0)
async def ask(request: RequestData, target: str, method: str = "stock"):
    log.info("asking")
    logging.getLogger("shop").warning("said by logging")
    return [request.traceparent, await app.call(target, method, timeout_s=20)]

@export(mod_name="Shop", websocket_handler="room", level=0)
def room(app):
    async def on_connect():
        log.info("connected")
    async def on_message(payload, request):
        log.info("said")
        return {"type": "said", "traceparent": request.traceparent,
                "stock": await app.call("http", "stock", timeout_s=20)}
    return {"on_connect": on_connect, "on_message": on_message}
"""


def parent(number: int) -> tuple[str, str]:
    """Return a trace's id and the header of a client under it."""
    trace_id = f"{number:032x}"
    return trace_id, f"00-{trace_id}-00f067aa0ba902b7-01"


class TraceTests(ByHandCase):
    """A broker, two http workers and a ws worker, each with its log in JSON."""

    timeout = 180

    async def start(self) -> None:
        """Start them, and wait until the http workers know each other."""
        self.root = folder(self)
        (self.root / "probe.py").write_text(MODULE)
        (self.root / "config.yaml").write_text(config())
        self.environ = environment(self.root / "d")
        self.in_thread = threads(self)
        broker = self.role("broker", "broker")
        await self.says(broker, "serving")
        self.one, self.two = (self.role("http", f"http-{n}") for n in (1, 2))
        self.ws = self.role("ws", "ws-1")
        for child in (self.one, self.two, self.ws):
            await self.says(child, "serving")
        for child in (self.one, self.two):
            await self.ready(child)
        for target in ("http-1", "http-2"):
            while (await self.get(self.one, f"ask?target={target}"))[0] != 200:
                await wait(reactor, 0.05)

    def role(self, role: str, worker_id: str) -> Child:
        """Start a role."""
        given = (f"--role={role}", f"--worker-id={worker_id}", "--log-format=json")
        arguments = (*TWISTD, "-n", "--pidfile=", "tbworkers", *given)
        return spawn(self, arguments, self.environ, cwd=self.root)

    async def ready(self, child: Child) -> None:
        """Wait until a worker says that it is ready."""
        url = f"http://127.0.0.1:{self.port(child)}/ready"
        while (await self.in_thread(get, url))[0] != 200:
            await wait(reactor, 0.05)

    async def get(self, child: Child, path: str, **headers: str) -> tuple[int, Any]:
        """Call a function of the shop; return status and data."""
        url = f"http://127.0.0.1:{self.port(child)}/api/Shop/{path}"
        status, _, body = await self.in_thread(lambda: get(url, **headers))
        return status, json.loads(body)["result"]["data"] if status == 200 else body

    def records(self, child: Child, trace_id: str) -> list[dict[str, Any]]:
        """Return what a process has logged under a trace."""
        whole = child.output[: child.output.rfind("\n") + 1]
        lines = [line for line in whole.splitlines() if line.startswith("{")]
        records = [json.loads(line) for line in lines]
        return [record for record in records if record.get("trace_id") == trace_id]

    async def logged(self, child: Child, trace_id: str, words: str) -> dict[str, Any]:
        """Wait until a process has logged something under a trace; return it."""

        def found() -> list[dict[str, Any]]:
            records = self.records(child, trace_id)
            return [r for r in records if words in r.get("message", r["logger"])]

        await wait_until(reactor, lambda: bool(found()), PATIENCE_S)
        self.assertTrue(found(), f"{words}\n{child.output}")
        return found()[0]

    async def test_one_trace(self) -> None:
        """Calls, events, messages and failures are logged under the client's trace."""
        await self.start()
        await self.calls()
        await self.events()
        await self.failures()
        await self.messages()

    async def calls(self) -> None:
        """A call that goes to another worker."""
        trace_id, traceparent = parent(1)
        status, (asked, answered) = await self.get(
            self.one, "ask?target=http-2", traceparent=traceparent
        )
        self.assertEqual(200, status)
        spans = [text.split("-") for text in (traceparent, asked, answered)]
        self.assertEqual([trace_id] * 3, [span[1] for span in spans])
        self.assertEqual(3, len({span[2] for span in spans}))
        access = await self.logged(self.one, trace_id, "tbtwist.access")
        await self.logged(self.one, trace_id, "said by logging")
        asking = await self.logged(self.one, trace_id, "asking")
        stock = await self.logged(self.two, trace_id, "stock was asked")
        self.assertEqual(
            [spans[1][2], spans[1][2], spans[2][2]],
            [record["span_id"] for record in (access, asking, stock)],
        )

    async def events(self) -> None:
        """An event that a function in a thread publishes reaches both workers."""
        trace_id, traceparent = parent(2)
        await self.get(self.one, "buy", traceparent=traceparent)
        spans = [
            (await self.logged(child, trace_id, words))["span_id"]
            for child, words in (
                (self.one, "buying"),
                (self.one, "sold was heard"),
                (self.two, "sold was heard"),
            )
        ]
        self.assertEqual(3, len(set(spans)))

    async def failures(self) -> None:
        """What fails on the other worker is logged there, with its traceback."""
        trace_id, traceparent = parent(3)
        path = "ask?target=http-2&method=broken"
        await self.get(self.one, path, traceparent=traceparent)
        there = await self.logged(self.two, trace_id, "answering app.broken failed")
        self.assertIn("out of tea", there["traceback"])
        here = await self.logged(self.one, trace_id, " failed")
        self.assertIn("CallRefused", here["traceback"])

    async def messages(self) -> None:
        """A connection's messages are under its handshake's trace, each in its span."""
        trace_id, traceparent = parent(4)
        port = self.port(self.ws)

        def talk(headers: dict[str, str]) -> list[dict[str, Any]]:
            with socket(port, "/ws/Shop/room", additional_headers=headers) as client:
                client.hear()
                client.say(n=1)
                client.say(n=2)
                return [client.hear(), client.hear()]

        heard = await self.in_thread(talk, {"traceparent": traceparent})
        texts = [text for m in heard for text in (m["traceparent"], m["stock"])]
        self.assertEqual({trace_id}, {text.split("-")[1] for text in texts})
        self.assertEqual(4, len({text.split("-")[2] for text in texts}))
        served = [c for c in (self.one, self.two) if '"connected"' in c.output]
        self.assertEqual(1, len(served))
        await self.logged(served[0], trace_id, "connected")
        await self.logged(served[0], trace_id, "said")
        heard = await self.in_thread(talk, {})
        self.assertEqual(
            [None] * 4, [m[k] for m in heard for k in ("traceparent", "stock")]
        )
