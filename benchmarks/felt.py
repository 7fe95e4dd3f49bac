"""What clients feel while a server is renewed. Pure."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from benchmarks.measures import number

RS: Final = b"\x1e"
NOTED: Final = "BENCH_HANDLED"
"""The environment variable with the file where handlers note what they handle."""


@attrs.define(eq=False)
class Tally:
    """What all clients of a process went through since the last look; seconds."""

    requests: int = 0
    messages: int = 0
    refused: int = 0
    failures: Counter[str] = attrs.Factory(Counter)
    closed: Counter[str] = attrs.Factory(Counter)
    slowest_request_s: float = 0.0
    slowest_message_s: float = 0.0

    def fail(self, error: Exception) -> None:
        """Count what a user would have noticed."""
        if isinstance(error, ConnectionRefusedError):
            self.refused += 1
        else:
            self.failures[f"{type(error).__name__}: {error}"[:120]] += 1

    def answered(self, took_s: float) -> None:
        """Count a request that was answered."""
        self.requests += 1
        self.slowest_request_s = max(self.slowest_request_s, took_s)

    def echoed(self, took_s: float) -> None:
        """Count a message that was answered."""
        self.messages += 1
        self.slowest_message_s = max(self.slowest_message_s, took_s)

    def take(self) -> dict[str, Any]:
        """Return it as JSON has it, and begin anew."""
        felt, fresh = attrs.asdict(self), Tally()
        for name in felt:
            setattr(self, name, getattr(fresh, name))
        return felt


@attrs.define(eq=False)
class Numbers:
    """One client's numbered messages, over one connection after another.

    What was not answered when a connection ended is sent again over the next one.
    The server is to handle nothing twice all the same: before it says goodbye it
    answers what it has taken.
    """

    last: int = 0
    unanswered: dict[int, float] = attrs.Factory(dict)

    def next(self, now: float) -> int:
        """Return the next number, which is sent now."""
        self.last += 1
        self.unanswered[self.last] = now
        return self.last

    def answer(self, number: int) -> float:
        """Take an answer, which has to be the oldest that is missing.

        Return when it was sent first. ValueError if it is another one.
        """
        oldest = next(iter(self.unanswered), None)
        if number != oldest:
            msg = f"{number} was answered where {oldest} was expected"
            raise ValueError(msg)
        return self.unanswered.pop(number)


@attrs.define(eq=False)
class Listening:
    """What one client heard of what was told to all; it can be resumed.

    As `docs/javascript.md` has it: it keeps its token and how far it is with each
    publisher, and passes over what it has.
    """

    token: str = ""
    told: set[int] = attrs.Factory(set)
    _seen: dict[str, int] = attrs.Factory(dict)

    @property
    def query(self) -> str:
        """Return what it asks for when it connects."""
        seen = ",".join(f"{mark}.{number}" for mark, number in self._seen.items())
        return f"resume={self.token or 1}" + (f"&seen={seen}" if seen else "")

    def take(self, data: bytes) -> Mapping[str, Any] | None:
        """Read a message; return it unless that is all that there is to do with it."""
        if not data.startswith(RS):
            return self._ours(json.loads(data))
        _, place, rest = data.split(RS, 2)
        message: dict[str, Any] = json.loads(rest)
        if place in {b"", b"!"}:
            return self._ours(message)
        mark, number = place.partition(b" ")[0].decode().split(".")
        if int(number) > self._seen.get(mark, 0):
            self._seen[mark] = int(number)
            self.told.add(message["n"])
        return None

    def _ours(self, message: dict[str, Any]) -> dict[str, Any]:
        self.token = message.get("resume", self.token)
        return message


def handled_twice(noted: Sequence[str]) -> int:
    """Return how many notes of handlers say again what one has said before."""
    return len(noted) - len(set(noted))


@attrs.frozen(kw_only=True)
class Felt:
    """One series of updates: what clients felt during each of them, and afterwards.

    ``rounds`` are `benchmarks.felt.Tally` with ``took_s`` and ``memory_mib`` (the
    most that all processes had together); ``rest`` is what `settle` found.
    """

    name: str
    rounds: Sequence[Mapping[str, Any]]
    rest: Mapping[str, Any]
    doubled: int = 0
    sockets_stay: bool = False

    @property
    def _all(self) -> list[Mapping[str, Any]]:
        return [*self.rounds, self.rest]

    def total(self, key: str) -> int:
        """Return the sum of a count over all rounds and the rest."""
        return sum(int(each[key]) for each in self._all)

    @property
    def failures(self) -> dict[str, int]:
        """Return what went wrong, and how often."""
        found: dict[str, int] = {}
        for tally in self._all:
            for reason, times in tally["failures"].items():
                found[reason] = found.get(reason, 0) + times
        return found

    @property
    def closed(self) -> int:
        """Return how many WebSockets the server closed."""
        return sum(sum(each["closed"].values()) for each in self._all)

    @property
    def problems(self) -> list[str]:
        """Return what must not be, in words; nothing if nobody felt anything."""
        counts = {
            "refused": self.total("refused"),
            "lost": int(self.rest["lost"]),
            "handled twice": self.doubled,
            "closed": self.closed if self.sockets_stay else 0,
        }
        found = [f"{times} x {what}" for what, times in counts.items() if times]
        found += [f"{times} x {reason}" for reason, times in self.failures.items()]
        return [f"{self.name}: {each}" for each in found]

    def row(self) -> tuple[str, ...]:
        """Return its line in the table; of what varies the median and the most."""
        return (
            self.name,
            f"{self.total('requests'):,}",
            f"{self.rest['said']:,} + {self.rest['told']:,}"
            if self.rest["said"]
            else "-",
            f"{sum(self.failures.values())}",
            f"{self.total('refused')}",
            *self._of_sockets(),
            self._spread("slowest_request_s", 1e3),
            self._spread("slowest_message_s", 1e3),
            self._spread("took_s"),
            number(max(each["memory_mib"] for each in self.rounds)),
        )

    def _of_sockets(self) -> tuple[str, ...]:
        if not self.rest["said"]:
            return ("-",) * 3
        return f"{self.rest['lost']}", f"{self.doubled}", f"{self.closed:,}"

    def _spread(self, key: str, times: float = 1.0) -> str:
        values = [float(each[key]) * times for each in self.rounds]
        if not any(values):
            return "-"
        return f"{number(statistics.median(values))} ({number(max(values))})"


HEAD: Final = (
    "updates", "requests", "messages + broadcasts", "failed", "refused", "lost", "doubled",
    "sockets closed", "slowest request, ms", "slowest message, ms", "an update, s",
    "memory, MiB",
)  # fmt: skip
