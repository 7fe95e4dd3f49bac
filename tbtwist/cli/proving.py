"""``update --prove``: clients at work while workers are replaced, and a report."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, time
from typing import Any, Final

import attrs
import msgspec

from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.secrets import load_secrets
from tbtwist.auth.session import authenticated_session
from tbtwist.auth.signing import Signer
from tbtwist.cli.probes import Tally, http_client, socket_client
from tbtwist.config.schema import Settings
from tbtwist.status import Status
from tbtwist.supervise.plan import reachable

_BEFORE_S: Final = 1.0
_AFTER_S: Final = 1.0
_VISIT_S: Final = 900.0


@attrs.frozen
class Load:
    """How much is asked while the update goes on, of all workers together."""

    http_clients: int = 16
    sockets: int = 50
    http_pause_s: float = 0.01
    socket_pause_s: float = 0.1
    cookie: str = attrs.field(default="", repr=False)


@attrs.frozen
class Report:
    """What the clients went through, slot by slot, and whether the update failed."""

    took_s: float
    tallies: Mapping[str, Tally]
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the update succeeded and nobody felt anything."""
        return not self.error and all(
            self._felt_nothing(t) for t in self.tallies.values()
        )

    @staticmethod
    def _felt_nothing(tally: Tally) -> bool:
        return not tally.failures and tally.answered > 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it; times in milliseconds."""
        return {
            "ok": self.ok,
            "took_s": round(self.took_s, 2),
            "error": self.error or None,
            "slots": {name: _plain(tally) for name, tally in self.tallies.items()},
        }

    def sentences(self) -> Sequence[str]:
        """Return the report for people."""
        tallies = self.tallies.values()
        answered = sum(tally.answered for tally in tallies)
        failed = sum(tally.failures.total() for tally in tallies)
        slowest = max((tally.slowest_s for tally in tallies), default=0.0)
        closed = sum(tally.closed.total() for tally in tallies)
        gap = max((tally.gap_s for tally in tallies), default=0.0)
        return [
            f"{answered:,} requests and messages were answered, {failed:,} failed.",
            f"The slowest took {slowest * 1000:.0f} ms.",
            f"The longest silence of a worker was {gap * 1000:.0f} ms.",
            f"{closed:,} WebSockets were asked to connect again.",
            *(
                f"{name}: {count} x {reason}"
                for name, tally in self.tallies.items()
                for reason, count in tally.failures.most_common(3)
            ),
        ]

    def write(self, path: Path) -> None:
        """Write the report; OSError if that cannot be."""
        text = msgspec.json.format(msgspec.json.encode(self.to_dict()), indent=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text + b"\n")


def _plain(tally: Tally) -> dict[str, Any]:
    return {
        "sent": tally.sent,
        "answered": tally.answered,
        "failed": tally.failures.total(),
        "failures": dict(tally.failures),
        "slowest_ms": round(tally.slowest_s * 1000, 1),
        "gap_ms": round(tally.gap_s * 1000, 1),
        "closed": dict(tally.closed),
    }


def hosts_of(settings: Settings) -> dict[str, str]:
    """Return where clients on this machine find the workers of each role."""
    return {
        "http": reachable(settings.http_worker.host),
        "ws": reachable(settings.ws_worker.host),
    }


def visitor(settings: Settings) -> str:
    """Return the Cookie header of somebody whom this server knows, for a short while.

    Raises:
        SecretUnusable: there is no secret to make it with.
    """
    secrets = load_secrets(
        settings, data_dir=Path(settings.data_dir), random=os.urandom
    )
    session = authenticated_session(
        "tbtwist-probe", "probe", level=1, exp=time() + _VISIT_S, random=os.urandom
    )
    cookies = SessionCookies(Signer(secrets), settings.session, settings.cookie_secure)
    return cookies.set_cookie(session, time()).partition(";")[0]


def prove(
    status: Status, hosts: Mapping[str, str], load: Load, work: Callable[[], None]
) -> Report:
    """Run ``work`` in a thread while clients are busy; tell how they were."""
    return asyncio.run(_prove(status, hosts, load, work))


async def _prove(
    status: Status, hosts: Mapping[str, str], load: Load, work: Callable[[], None]
) -> Report:
    tallies: dict[str, Tally] = {}
    began = monotonic()
    stopping = asyncio.Event()

    def going_on() -> bool:
        return not stopping.is_set()

    async with asyncio.TaskGroup() as clients:
        for role, count in (("http", load.http_clients), ("ws", load.sockets)):
            slots = [w for w in status.workers if w.role == role and w.port]
            for number in range(count if slots else 0):
                worker = slots[number % len(slots)]
                tally = tallies.setdefault(worker.id, Tally())
                place = (hosts[role], int(worker.port or 0))
                clients.create_task(
                    http_client(
                        place, tally, pause_s=load.http_pause_s, going_on=going_on
                    )
                    if role == "http"
                    else socket_client(
                        place,
                        load.cookie,
                        tally,
                        pause_s=load.socket_pause_s,
                        going_on=going_on,
                    )
                )
        await asyncio.sleep(_BEFORE_S)
        error = ""
        try:
            await asyncio.to_thread(work)
        except Exception as problem:  # noqa: BLE001 - it is part of the report
            error = str(problem)
        await asyncio.sleep(_AFTER_S)
        stopping.set()
    return Report(monotonic() - began, tallies, error)
