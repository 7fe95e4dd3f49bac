"""Processes are killed at random under steady traffic, and every promise is kept.

What is random comes from one seed; ``TB_CHAOS_SEED`` gives another.
"""

from __future__ import annotations

import os
import random
import signal
import socket
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tbtwist.services import wait
from tests.integration.crowd import ABNORMAL, Crowd, Talk
from tests.integration.sample import config
from tests.integration.system import System, reactor

SEED: Final = int(os.environ.get("TB_CHAOS_SEED", "4711"))
CLIENTS: Final = 200
RESTARTED: Final = 1012
MODULE: Final = """
import asyncio, os
from tbtwist import export

noted = os.open("handled.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
left = os.open("left.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@export(mod_name="Chaos", websocket_handler="count", level=0)
def count(app):
    async def on_message(conn_id, payload, redelivered):
        line = f"{conn_id} {payload['n']} {int(redelivered)}\\n"
        os.write(noted, line.encode())
        await asyncio.sleep(0.002 if payload["n"] % 10 else 0.2)
        return {"type": "echo", "n": payload["n"]}
    async def on_disconnect(conn_id):
        os.write(left, f"{conn_id}\\n".encode())
    return {"on_message": on_message, "on_disconnect": on_disconnect}
"""


class ChaosTests(TestCase):
    """200 clients number their messages, whatever dies."""

    timeout = 240

    async def start(self) -> None:
        """Start two workers of each kind, and the crowd."""
        self.chance = random.Random(SEED)  # noqa: S311 - moments, no secrets
        files = {"probe.py": MODULE}
        self.system = await System.start(self, config(2, 2), files=files)
        self.crowd = Crowd(reactor, CLIENTS, self.chance)
        self.crowd.ports = await self.system.ports("ws")
        self.addCleanup(lambda: Deferred.fromCoroutine(self.crowd.leave()))
        self.crowd.start()
        await self.whole_again()

    async def test_one_after_another(self) -> None:
        """An http worker, a ws worker and the broker die: all is as it should be.

        Only the dead ws worker's clients notice more than a pause, and handlers
        are told about their connections.
        """
        await self.start()
        http, ws = self.victims()
        await self.kill(http)
        await self.kill(ws)
        lost = self.crowd.ended()
        await self.system.until(partial(self.told, lost), f"the end of {len(lost)}")
        await self.kill("broker")
        await self.judge({await self.port_of(ws): ABNORMAL})

    async def test_all_in_a_row(self) -> None:
        """An http worker, a ws worker and the broker die at the same moment."""
        await self.start()
        http, ws = self.victims()
        await self.kill(http, ws, "broker")
        await self.judge({await self.port_of(ws): ABNORMAL})

    async def test_one_by_one_renewed(self) -> None:
        """Workers that are asked to go finish what they have, replies included."""
        await self.start()
        for worker in ("http-1", "ws-1", "http-2", "ws-2"):
            await self.end(signal.SIGTERM, worker)
        await self.judge(dict.fromkeys(self.crowd.ports, RESTARTED))
        self.check_parting()

    async def test_restart(self) -> None:
        """``tbtwist restart`` under traffic loses nothing that was taken."""
        await self.start()
        ports = self.crowd.ports
        manager = self.system.manager
        assert manager is not None
        self.system.manager = self.system.tbtwist(
            "restart", "-c", str(self.system.config)
        )
        self.assertEqual(0, await manager.ended)
        await self.system.until(self.system.all_running)
        self.crowd.ports = await self.system.ports("ws")
        await self.whole_again()
        await self.judge(dict.fromkeys(ports, RESTARTED))
        self.check_parting()

    # --- what happens

    def victims(self) -> tuple[str, str]:
        """Choose an http worker and a ws worker."""
        return self.chance.choice(["http-1", "http-2"]), self.chance.choice(
            ["ws-1", "ws-2"]
        )

    async def kill(self, *victims: str) -> None:
        """``kill -9`` at a random moment, and wait until all is well again."""
        await self.end(signal.SIGKILL, *victims)

    async def end(self, how: signal.Signals, *victims: str) -> None:
        """Send a signal at a random moment, and wait until all is well again."""
        pids = [int((await self.system.worker(each))["pid"]) for each in victims]
        await wait(reactor, self.chance.uniform(0.1, 1.0))
        for pid in pids:
            os.kill(pid, how)
        for victim, pid in zip(victims, pids, strict=True):
            await self.system.until(partial(self.replaced, victim, pid), victim)
        await self.whole_again()

    async def replaced(self, worker_id: str, pid: int) -> bool:
        """Whether a worker runs again, as another process."""
        worker = await self.system.worker(worker_id)
        return bool(worker["state"] == "running" and worker["pid"] != pid)

    async def whole_again(self) -> None:
        """Wait until all workers run, and what everybody says then is answered."""
        await self.system.until(self.system.all_running)
        await self.system.until(self.crowd.mark(), f"answers (seed {SEED})")

    async def told(self, talks: list[Talk]) -> bool:
        """Whether handlers have heard of the end of these connections."""
        handled = self.handled()
        left = set((self.system.root / "left.txt").read_text().split())
        return all(talk.conn_id in left for talk in talks if talk.conn_id in handled)

    async def port_of(self, worker_id: str) -> int:
        """Return where a worker listens."""
        return int((await self.system.worker(worker_id))["port"])

    # --- what must be true

    async def judge(self, may_end: Mapping[int, int]) -> None:
        """Let the crowd hear its last answers, stop everything, and look back.

        ``may_end``: with which code the connections to which port may have ended.
        """
        self.crowd.quieten()
        await self.system.until(self.crowd.all_answered, f"all answers (seed {SEED})")
        ended = self.crowd.ended()
        await self.crowd.leave()
        ports = [w["port"] for w in (await self.system.status())["workers"]]
        self.assertEqual(0, await self.system.stop())
        self.check_ports([port for port in ports if port is not None])
        self.assertLessEqual({(t.port, t.code) for t in ended}, {*may_end.items()})
        self.assertNotEqual([], ended, "nobody noticed anything")
        handled = self.handled()
        for talk in self.crowd.talks:
            self.check_talk(talk, handled.get(talk.conn_id, []))

    def check_ports(self, ports: list[int]) -> None:
        """Nobody sits on a port any more."""
        for port in ports:
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))

    def check_talk(self, talk: Talk, handled: list[tuple[int, bool]]) -> None:
        """No gap, no disorder; a second time only with the mark."""
        where = f"{talk}: {handled} (seed {SEED})"
        self.assertEqual([*range(talk.first, talk.answered)], talk.heard, where)
        reached = before = talk.first - 1
        for number, redelivered in handled:
            self.assertLessEqual(number, before + 1, where)
            self.assertTrue(number > reached or redelivered, where)
            reached, before = max(reached, number), number
        self.assertLessEqual(talk.answered, reached + 1, where)
        self.assertLess(reached, talk.first + talk.sent, where)

    def check_parting(self) -> None:
        """Whoever was told to go had got an answer to all that was handled."""
        handled = self.handled()
        for talk in self.crowd.talks:
            if talk.code == RESTARTED:
                last = max((n for n, _ in handled.get(talk.conn_id, [])), default=-1)
                self.assertEqual(talk.answered, max(last + 1, talk.first), talk)

    def handled(self) -> dict[str, list[tuple[int, bool]]]:
        """Return what handlers noted of each connection, in the order it happened."""
        noted: dict[str, list[tuple[int, bool]]] = defaultdict(list)
        for line in (self.system.root / "handled.txt").read_text().splitlines():
            conn_id, number, redelivered = line.split()
            noted[conn_id].append((int(number), redelivered == "1"))
        return noted
