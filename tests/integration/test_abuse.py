"""Attacks on a real ws worker: memory stays flat, others are served, all is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import TestCase

from tests.integration.attackers import (
    BINARY,
    MIB,
    PING,
    TEXT,
    Raw,
    allow_descriptors,
    bomb,
    descriptors,
    ended,
    figures,
    frame,
    half_open,
    memory,
    raw,
    until,
)
from tests.integration.sample import socket
from tests.integration.system import System

ROOM = """
from tbtwist import export

@export(mod_name="Abuse", websocket_handler="room", level=0)
def room(app):
    async def on_message(conn_id, payload):
        if isinstance(payload, dict) and "all" in payload:
            app.ws_broadcast("Abuse/room", {"type": "told", "text": "x" * payload["all"]})
        return {"type": "echo", "of": payload if isinstance(payload, dict) else "?"}
    return {"on_message": on_message}
"""
CONFIG = """
toolbox: {modules: [abuse_room]}
http_worker: {port: 0, workers: 1, drain_timeout_s: 3, trusted_proxies: [TRUSTED]}
manager: {web_ui_port: 0}
ws_worker:
  port: 0
  drain_timeout_s: 2
  max_waiting_bytes: 262144
  handshake_timeout_s: 2
"""
ALLOWED_GROWTH = 24 * MIB
"""What a repeated attack may leave behind at most; each moves far more than this."""
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


class AbuseTests(TestCase):
    """One attack each, made twice: the second must not need more memory."""

    timeout = 240

    async def start(self, more: str = "", trusted: str = "") -> System:
        """Start the system with more lines for ``ws_worker``, and a trusted proxy."""
        allow_descriptors()
        config = CONFIG.replace("TRUSTED", trusted) + more
        system = await System.start(self, config, files={"abuse_room.py": ROOM})
        worker = await system.worker("ws-1")
        self.port, self.pid = worker["port"], worker["pid"]
        return system

    def served(self) -> None:
        """Somebody else comes, says something, and is answered."""
        with socket(self.port, "/ws/Abuse/room") as talk:
            self.assertEqual("connected", talk.hear()["type"])
            talk.say(n=1)
            self.assertEqual({"type": "echo", "of": {"n": 1}}, talk.hear())

    def counted(self, kind: str, reason: str) -> int:
        """Return a counter of the worker."""
        return int(figures(self.port)[kind].get(reason, 0))

    def twice(self, attack: Callable[[], None]) -> None:
        """Attack, serve others, attack again: no more memory than after the first."""
        attack()
        self.served()
        before = memory(self.pid)
        attack()
        self.served()
        self.assertLess(memory(self.pid) - before, ALLOWED_GROWTH)

    async def test_half_open(self) -> None:
        """5,000 half handshakes are ended by the deadline; meanwhile others come."""
        system = await self.start()
        count = min(5000, descriptors() - 500)

        def attack() -> None:
            with half_open(self.port, count) as clients:
                self.served()
                self.assertGreater(figures(self.port)["handshakes"], 0)
                self.assertTrue(all(ended(client) for client in clients))

        def drive() -> None:
            self.twice(attack)
            reasons = ("handshake timeout", "handshake pushed out")
            given_up = [self.counted("refused", reason) for reason in reasons]
            self.assertEqual(2 * count, sum(given_up), given_up)
            asking = 1
            self.assertEqual(asking, figures(self.port)["handshakes"])

        await system.in_thread(drive)

    async def test_pushed_out(self) -> None:
        """Beyond ``max_handshakes`` it is the oldest that has to go."""
        system = await self.start("  max_handshakes: 100\n")

        def drive() -> None:
            with half_open(self.port, 300) as clients:
                self.assertTrue(all(ended(client) for client in clients[:200]))
                self.served()
            self.assertGreaterEqual(
                self.counted("refused", "handshake pushed out"), 200
            )

        await system.in_thread(drive)

    def broadcast(self, talk: Any, times: int) -> None:
        """Let somebody tell all of them 20 kB, again and again."""
        for _ in range(times):
            talk.say(all=20_000)
            kinds = {talk.hear()["type"], talk.hear()["type"]}
            self.assertEqual({"echo", "told"}, kinds)

    async def test_never_read(self) -> None:
        """Who is told things and never reads is closed with 1013; others hear all."""
        system = await self.start()
        silent = 20

        def attack() -> None:
            clients = [Raw(self.port, receive_bytes=4096) for _ in range(silent)]
            before = self.counted("closes", "1013")
            with socket(self.port, "/ws/Abuse/room") as talk:
                talk.hear()
                until(lambda: figures(self.port)["connections"] == silent + 1, "all in")
                self.broadcast(talk, 300)
            until(lambda: self.counted("closes", "1013") == before + silent, "closed")
            until(lambda: figures(self.port)["waiting_bytes"] == 0, "forgotten")
            for client in clients:
                client.close()

        await system.in_thread(lambda: self.twice(attack))

    async def test_drop_oldest(self) -> None:
        """Where a channel allows it, a slow client misses the oldest, and is counted."""
        system = await self.start("  channel_policies: {Abuse/*: drop_oldest}\n")

        def drive() -> None:
            with (
                raw(self.port, receive_bytes=4096) as slow,
                socket(self.port, "/ws/Abuse/room") as talk,
            ):
                talk.hear()
                until(lambda: figures(self.port)["connections"] == 2, "both in")
                self.broadcast(talk, 300)
                talk.say(all=7)
                kinds = [talk.hear()["type"] for _ in range(2)]
                self.assertEqual(["echo", "told"], sorted(kinds))
                dropped = self.counted("drops", "slow client, drop_oldest")
                self.assertGreater(dropped, 0)
                waiting = figures(self.port)["waiting_bytes"]
                self.assertTrue(0 < waiting <= 262_144, waiting)
                sizes = [len(json.loads(text)["text"]) for text in self.told(slow)]
                self.assertEqual(300 - dropped + 1, len(sizes))
                self.assertEqual(7, sizes[-1])

        await system.in_thread(drive)

        async def seen() -> bool:
            drops = (await system.worker("ws-1")).get("drops", {})
            return bool(drops.get("slow client, drop_oldest"))

        await system.until(seen, "drops in the status")

    def told(self, slow: Raw) -> list[bytes]:
        """Return what a client is told until the short message."""
        found: list[bytes] = []
        while not found or len(found[-1]) > 1000:
            _, payload = slow.frame()
            if b'"told"' in payload:
                found.append(payload)
        return found

    async def test_tiny_frames(self) -> None:
        """A million bytes in frames of one, of nothing, and pings: all are answered."""
        system = await self.start()

        def attack() -> None:
            with raw(self.port) as client:
                client.send(frame(BINARY, b"a", fin=False))
                for _ in range(50):
                    client.send(frame(0, b"b", fin=False) * 2000)
                    client.send(frame(0, b"", fin=False) * 2000)
                    client.send(frame(PING, b""))
                self.served()
                client.send(frame(0, b"c"))
                while b'"echo"' not in client.frame()[1]:
                    continue

        await system.in_thread(lambda: self.twice(attack))

    async def test_one_byte_at_a_time(self) -> None:
        """A frame may come byte by byte."""
        system = await self.start()

        def drive() -> None:
            with raw(self.port) as client:
                client.frame()
                for byte in frame(TEXT, b'{"n": 1}'):
                    client.send(bytes((byte,)))
                self.assertIn(b'"echo"', client.frame()[1])

        await system.in_thread(drive)

    async def test_endless_message(self) -> None:
        """A message in pieces that never ends is closed with 1009 at the limit."""
        system = await self.start()

        def attack() -> None:
            for _ in range(10):
                with raw(self.port) as client:
                    client.send(frame(BINARY, b"", fin=False))
                    piece = frame(0, bytes(60_000), fin=False)
                    sent = 0
                    while client.send(piece) and sent < 40:
                        sent += 1
                    self.assertEqual(1009, client.closed_with())

        def drive() -> None:
            self.twice(attack)
            self.assertEqual(20, self.counted("closes", "1009"))

        await system.in_thread(drive)

    async def test_oversized(self) -> None:
        """A frame that announces exabytes is refused by its head."""
        system = await self.start()

        def attack() -> None:
            for _ in range(10):
                with raw(self.port) as client:
                    client.send(b"\x82\xff\x7f" + b"\xff" * 7 + bytes(4))
                    client.send(bytes(5 * MIB))
                    self.assertEqual(1009, client.closed_with())

        await system.in_thread(lambda: self.twice(attack))

    async def test_bad_utf8(self) -> None:
        """A text that is none is closed with 1007, wherever it goes wrong."""
        system = await self.start()

        def drive() -> None:
            bad = (
                frame(TEXT, b"\xff"),
                frame(TEXT, b"ok", fin=False) + frame(0, b"\xed\xa0\x80"),
                frame(TEXT, b"x" * 500_000 + b"\xc3"),
            )
            for sent in bad:
                with raw(self.port) as client:
                    client.send(sent)
                    self.assertEqual(1007, client.closed_with())
            self.assertEqual(len(bad), self.counted("closes", "1007"))
            self.served()

        await system.in_thread(drive)

    async def test_too_often(self) -> None:
        """One address that comes too often gets 429, and others are served."""
        system = await self.start(
            "  connects_per_s: 1\n  connects_burst: 5\n", trusted="127.0.0.1"
        )

        def status(address: str) -> bytes:
            with raw(self.port, f"X-Forwarded-For: {address}") as client:
                return client.head.split(b" ")[1]

        def drive() -> None:
            found = [status("203.0.113.7") for _ in range(50)]
            self.assertEqual([b"101"] * 5, found[:5])
            self.assertIn(b"429", found)
            self.assertEqual(b"101", status("203.0.113.8"))
            self.assertEqual(found.count(b"429"), self.counted("refused", "429"))
            self.served()

        await system.in_thread(drive)

    async def test_bomb(self) -> None:
        """1 GiB of zeros in 1 MiB is refused with 1009 before it is there."""
        system = await self.start("  compression: true\n")
        sent = frame(BINARY, bomb(1000), rsv=4)
        self.assertLess(len(sent), 1.1 * MIB)

        def attack() -> None:
            for _ in range(5):
                with raw(self.port, DEFLATE) as client:
                    self.assertIn(b"permessage-deflate", client.head)
                    client.send(sent)
                    self.assertEqual(1009, client.closed_with())

        def drive() -> None:
            self.twice(attack)
            self.assertEqual(10, self.counted("closes", "1009"))

        await system.in_thread(drive)
