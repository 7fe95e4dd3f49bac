"""Who is on the bus, as the broker told it; and which of them gets a new key."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

import attrs

from tbtwist.bus.codec import Announcement, Member
from tbtwist.identity import WorkerId

HANDLERS: Final = "http"
"""The role that handles what is forwarded."""
HALVING_LOAD: Final = 100
"""The load that halves a worker's share of new keys. Loads are up to a second old;
more weight would send everyone to the same idle worker in turn."""


@attrs.frozen
class Change:
    """What an announcement changed.

    Who came, who is gone for good, whether anything that matters to a binding is
    different at all; and who of the gone *died*: neither draining nor lost
    together with a broker.
    """

    appeared: frozenset[str]
    gone: frozenset[str]
    matters: bool
    died: frozenset[str] = frozenset()


MAX_BURIED: Final = 1000
"""How many of those who are gone are remembered."""


@attrs.define(eq=False)
class Table:
    """The workers that the broker announced.

    After a restart the broker's table fills up again; whoever was there before
    is *missing*, not gone, until the broker says that its table has settled.
    Whoever is gone stays *buried*: a new broker may not know that it was given up
    for dead, but its keys are elsewhere now, and its connections were seen off.
    """

    known: bool = False
    """Whether the broker knows us at the moment."""
    boot: str = ""
    settled: bool = False
    members: dict[str, Member] = attrs.Factory(dict)
    returned: tuple[str, ...] = ()
    """Those of the buried whom the broker announced all the same."""
    _buried: dict[str, None] = attrs.Factory(dict)
    _workers: dict[str, WorkerId] = attrs.Factory(dict)
    _missing: frozenset[str] = frozenset()

    def update(self, news: Announcement) -> Change:
        """Take what the broker announced, and say what became different."""
        workers = {m.identity: WorkerId.parse(m.identity) for m in news.members}
        self.returned = tuple(name for name in workers if name in self._buried)
        before = self.members if news.boot == self.boot else {}
        missing = self._missing | (self.members.keys() - before.keys())
        now = {m.identity: m for m in news.members if m.identity not in self._buried}
        gone = before.keys() - now.keys()
        died = frozenset(name for name in gone if before[name].ready)
        missing -= now.keys()
        ended = {name for name in missing if name.rpartition(".")[0] in news.ended}
        gone, missing = gone | ended, missing - ended
        if news.settled:
            gone, missing = gone | missing, frozenset()
        appeared = frozenset(now.keys() - before.keys())
        matters = (
            bool(appeared or gone)
            or news.settled != self.settled
            or any(
                now[name].ready != before[name].ready for name in now if name in before
            )
        )
        self.boot, self.settled = news.boot, news.settled
        self.members, self._missing = now, missing
        self._workers = {name: workers[name] for name in now}
        self._bury(gone)
        return Change(appeared, frozenset(gone), matters, died)

    def _bury(self, gone: Iterable[str]) -> None:
        self._buried |= dict.fromkeys(gone)
        while len(self._buried) > MAX_BURIED:
            del self._buried[next(iter(self._buried))]

    def has_buried(self, identity: str) -> bool:
        """Whether a worker is gone for good, whatever it still says."""
        return identity in self._buried

    def count(self, role: str) -> int:
        """Return how many workers of a role are there."""
        return sum(worker.role == role for worker in self._workers.values())

    def takes_keys(self, identity: str) -> bool:
        """Whether a worker is there and not draining."""
        member = self.members.get(identity)
        return member is not None and member.ready

    def choose(self, key: str) -> str | None:
        """Return the ready http worker that a new key is bound to."""
        return highest(
            key,
            (
                member
                for member in self.members.values()
                if member.ready and self._workers[member.identity].role == HANDLERS
            ),
        )

    def callee(
        self, target: str, handed: Mapping[str, int], turn: int
    ) -> Member | None:
        """Return who should answer a call to ``target``; None if that is not clear.

        A process, the newest ready generation of a slot, or whoever of a role has
        least to do; equals take turns. ``handed`` counts the calls that we gave to
        each since the last announcement. All of a role is the broker's business.
        """
        exact = self.members.get(target)
        if exact is not None:
            return exact
        ready = [
            (member, self._workers[name])
            for name, member in self.members.items()
            if member.ready
        ]
        named = [each for each in ready if each[1].slot == target]
        if named:
            return max(named, key=lambda each: each[1].generation)[0]
        able = [member for member, worker in ready if worker.role == target]
        if not able:
            return None
        start = turn % len(able)
        return min(
            (*able[start:], *able[:start]),
            key=lambda member: member.load + handed.get(member.identity, 0),
        )

    def find(self, slot: str, generation: int) -> str | None:
        """Return the identity of the worker in that slot and generation."""
        for identity, worker in self._workers.items():
            if worker.slot == slot and worker.generation == generation:
                return identity
        return None


def highest(key: str, members: Iterable[Member]) -> str | None:
    """Return who wins ``key`` by weighted rendezvous hashing.

    Whoever asks gets the same answer, and a worker that goes takes only its own
    keys with it. The more a worker has to do, the fewer new keys it wins.
    """
    best, best_score = None, -1.0
    for member in members:
        burden = 1 + member.load / HALVING_LOAD
        score = -1.0 / (math.log(_hash(key, member.identity)) * burden)
        if score > best_score:
            best, best_score = member.identity, score
    return best


def _hash(key: str, identity: str) -> float:
    """Return a number between 0 and 1, both excluded."""
    digest = blake2b(f"{key}|{identity}".encode(), digest_size=6).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**48
