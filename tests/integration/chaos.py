"""A system under steady traffic whose processes die, and what must be true then.

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
from itertools import pairwise
from typing import Final

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tbtwist.services import wait
from tests.integration.crowd import Crowd, Talk
from tests.integration.sample import config
from tests.integration.system import System, reactor

SEED: Final = int(os.environ.get("TB_CHAOS_SEED", "4711"))
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


class ChaosCase(TestCase):
    """Clients number their messages, whatever dies."""

    timeout = 240

    async def begin(self, clients: int, text: str | None = None) -> None:
        """Start a system, of two workers of each kind by default, and the crowd."""
        self.chance = random.Random(SEED)  # noqa: S311 - moments, no secrets
        patient = config(2, 2) if text is None else text
        for hasty in ("drain_timeout_s: 3", "drain_timeout_s: 2"):
            patient = patient.replace(hasty, "drain_timeout_s: 20")
        files = {"probe.py": MODULE}
        self.system = await System.start(self, patient, files=files)
        self.crowd = Crowd(reactor, clients, self.chance)
        self.crowd.ports = await self.system.ports("ws")
        self.addCleanup(lambda: Deferred.fromCoroutine(self.crowd.leave()))
        self.crowd.start()
        await self.whole_again()

    # --- what happens

    def victims(self) -> tuple[str, str]:
        """Choose an http worker and a ws worker."""
        return self.chance.choice(["http-1", "http-2"]), self.chance.choice(
            ["ws-1", "ws-2"]
        )

    async def kill(self, *victims: str) -> None:
        """``kill -9`` at a random moment, and wait until all is well again."""
        pids = [int((await self.system.worker(each))["pid"]) for each in victims]
        await wait(reactor, self.chance.uniform(0.1, 1.0))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
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

    async def judge(self, may_end: Mapping[int, int], *, in_order: bool = True) -> None:
        """Let the crowd hear its last answers, stop everything, and look back.

        ``may_end``: with which code the connections to which port may have ended.
        ``in_order``: whether handlers saw everything in order, too.
        """
        self.crowd.quieten()
        await self.system.until(self.crowd.all_answered, f"all answers (seed {SEED})")
        ended = self.crowd.ended()
        await self.crowd.leave()
        ports = [w["port"] for w in (await self.system.status())["workers"]]
        self.assertEqual(0, await self.system.stop())
        self.check_ports([port for port in ports if port is not None])
        self.assertLessEqual({(t.port, t.code) for t in ended}, {*may_end.items()})
        self.assertEqual(bool(may_end), bool(ended), "who noticed anything?")
        handled = self.handled()
        for talk in self.crowd.talks:
            self.check_talk(talk, handled[talk.conn_id], in_order=in_order)

    def check_ports(self, ports: list[int]) -> None:
        """Nobody sits on a port any more."""
        for port in ports:
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))

    def check_talk(
        self, talk: Talk, handled: list[tuple[int, bool]], *, in_order: bool
    ) -> None:
        """No gap, no disorder; a second time only with the mark."""
        where = f"{talk}: {handled} (seed {SEED})"
        self.assertEqual([*range(talk.first, talk.answered)], talk.heard, where)
        numbers = {number for number, _ in handled}
        reached = talk.first + len(numbers)
        self.assertEqual({*range(talk.first, reached)}, numbers, where)
        self.assertLessEqual(talk.answered, reached, where)
        self.assertLessEqual(reached, talk.first + talk.sent, where)
        unmarked = [number for number, again in handled if not again]
        self.assertEqual(len(unmarked), len({*unmarked}), where)
        if in_order:
            self.check_order(handled, where)

    def check_order(self, handled: list[tuple[int, bool]], where: str) -> None:
        """Whoever takes over begins with what may have been in hand, marked."""
        for (before, _), (number, again) in pairwise(handled):
            self.assertLessEqual(number, before + 1, where)
            self.assertTrue(number > before or again, where)

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
