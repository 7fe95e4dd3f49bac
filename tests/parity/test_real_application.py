"""A real ToolBoxV2 App behind our workers, in a process of its own."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import ClientConnection, connect

from tests.parity.comparing import Answer
from tests.parity.workers import SECRET, Running, Workers


def data_of(answer: Answer) -> Any:
    """Return the data in an envelope."""
    return json.loads(answer.body)["result"]["data"]


class RealApplicationTests(SynchronousTestCase):
    """One worker serves for all of it: each start imports the whole package."""

    def setUp(self) -> None:
        """Start the worker."""
        workers = Workers()
        self.addCleanup(workers.close)
        self.worker: Running = workers.ours()

    def get(self, path: str) -> Answer:
        """Ask for something."""
        return self.worker.ask("GET", path)

    def test_http(self) -> None:
        """Functions of every kind run, each where it belongs, and say what they do."""
        self.check_threads()
        self.check_requests()
        self.check_events()
        self.check_nothing_is_imported()
        self.check_quiet_end()

    def check_threads(self) -> None:
        """Blocking functions run side by side, while the worker answers others."""
        names: set[str] = set()

        def block() -> None:
            names.add(data_of(self.get("/api/Open/meet?parties=3")))

        blocked = [threading.Thread(target=block) for _ in range(3)]
        for thread in blocked[:2]:
            thread.start()
        self.assertEqual(self.get("/api/Open/greet_async").status, 200)
        self.assertEqual(self.get("/health").status, 200)
        blocked[2].start()
        for thread in blocked:
            thread.join()
        self.assertEqual(len(names), 3)
        self.assertTrue(all(name.startswith("app-") for name in names), names)
        bare, full, origin = data_of(self.get("/api/Open/indirectly"))
        self.assertRegex(bare, r"\Abare app-")
        self.assertRegex(full, r"\Afull app-")
        self.assertIn("thread", origin)

    def check_requests(self) -> None:
        """Functions get ToolBoxV2's own class of requests."""
        found = data_of(self.get("/api/Open/request?who=me"))
        self.assertEqual(found["class"], "toolboxv2.utils.system.types.RequestData")
        self.assertEqual((found["who"], found["query"]), ("me", {"who": "me"}))

    def check_events(self) -> None:
        """Server-Sent Events flow as its clients know them."""
        answer = self.get("/api/Open/events")
        self.assertEqual(answer.headers["content-type"], "text/event-stream")
        blocks = answer.body.decode().strip().split("\n\n")
        self.assertEqual(blocks[0], 'event: stream_start\ndata: {"id": "0"}')
        self.assertEqual(blocks[1], 'event: tick\ndata: {"n": 1}')
        self.assertEqual(blocks[2], "data: plain")
        self.assertEqual(blocks[3], 'event: stream_end\ndata: {"id": "final"}')
        failed = self.get("/api/Open/failing_events").body.decode()
        self.assertIn("event: error", failed)
        self.assertNotIn("private", failed)
        self.assertRegex(data_of(self.get("/api/Open/last_step")), r"\Aapp-")

    def check_nothing_is_imported(self) -> None:
        """The name of one of its own modules does not make it imported."""
        self.assertEqual(self.get("/api/welcome/open_anything").status, 404)
        self.assertFalse(data_of(self.get("/api/Open/imported?name=welcome")))

    def check_quiet_end(self) -> None:
        """It ends politely; no secret, no colour and no banner were printed."""
        (began,) = data_of(self.get("/api/Open/begun"))
        self.assertRegex(began, r"\AApp app-")
        ended = Path(data_of(self.get("/api/Open/home"))) / "parity-ended"
        self.assertFalse(ended.exists())
        self.assertEqual(self.worker.stop(), 0)
        self.assertTrue(ended.exists())
        words = self.worker.words()
        self.assertNotIn("\x1b", words)
        self.assertNotIn(SECRET, words)
        self.assertNotIn("MinIO", words)
        strange = [line for line in words.splitlines() if not _is_event(line)]
        allowed = ("Traceback", " ", "RuntimeError", "builtins.RuntimeError")
        self.assertEqual([s for s in strange if s and not s.startswith(allowed)], [])

    def test_websocket(self) -> None:
        """Its WebSocket handlers answer, and its App speaks to a room."""
        url = f"ws://127.0.0.1:{self.worker.ws_port}/ws/Open/room?tab=1"
        with connect(url, open_timeout=30) as one, connect(url, open_timeout=30) as two:
            for client in (one, two):
                self.assertEqual(_message(client)["type"], "connected")
                welcome = _message(client)
                self.assertEqual(welcome, {"type": "welcome", "path": "/ws/Open/room"})
            one.send('{"type":"shout","id":7}')
            mine = [_message(one), _message(one)]
            self.assertEqual({m["type"] for m in mine}, {"shout", "echo"})
            echo = next(m for m in mine if m["type"] == "echo")
            self.assertEqual((echo["id"], echo["app"]), (7, "App"))
            self.assertEqual(_message(two)["type"], "shout")


def _message(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=30))


def _is_event(line: str) -> bool:
    """Whether a line is the log's: a time, a level, a place."""
    return line[:2] == "20" and "Z " in line[:30]
