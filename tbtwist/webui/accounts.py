"""How everything is, with the keys of ToolBoxV2's manager (R5.2) and some of ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
import msgspec

from tbtwist.status import LastExit, Status, WorkerStatus
from tbtwist.webui.totals import Sums, Totals

_MIB = 1024 * 1024
_SERVING = frozenset({"http", "ws"})


@attrs.frozen
class NginxFacts:
    """What is known about nginx here."""

    installed: bool = False
    version: str | None = None
    ssl_available: bool = False


@attrs.frozen
class Account:
    """One moment: what the manager knows, and what the workers have counted."""

    status: Status
    totals: Totals
    nginx: NginxFacts = NginxFacts()

    @property
    def serving(self) -> tuple[WorkerStatus, ...]:
        """Return the http and ws workers; a broker is none in R5.2."""
        return tuple(w for w in self.status.workers if w.role in _SERVING)

    @property
    def broker_alive(self) -> bool:
        """Whether the broker runs."""
        return any(w.role == "broker" and _runs(w) for w in self.status.workers)

    def worker(self, worker_id: str) -> dict[str, Any] | None:
        """Return one worker; None if there is none."""
        found = (w for w in self.status.workers if w.id == worker_id)
        return next((self._worker(each) for each in found), None)

    def workers(self) -> list[dict[str, Any]]:
        """Answer ``GET /api/workers``."""
        return [self._worker(each) for each in self.serving]

    def everybody(self) -> list[dict[str, Any]]:
        """Return all workers, the broker too."""
        return [self._worker(each) for each in self.status.workers]

    def overview(self) -> dict[str, Any]:
        """Answer ``GET /api/status``."""
        manager = msgspec.to_builtins(self.status.manager)
        return {
            "running": True,
            "platform": sys.platform,
            "platform_warning": None,
            "broker_alive": self.broker_alive,
            "p2p": {
                "leader": "broker" if self.broker_alive else None,
                "topology_workers": sum(map(_runs, self.serving)),
            },
            "workers": {w.id: self._worker(w) for w in self.serving},
            "nginx": {
                "installed": self.nginx.installed,
                "ssl_available": self.nginx.ssl_available,
                "version": self.nginx.version,
            },
            "cluster": {"nodes": 0, "healthy_nodes": 0},
            "manager": manager,
        }

    def metrics(self) -> dict[str, Any]:
        """Answer ``GET /api/metrics``."""
        sums = self.totals.all()
        roles = [w.role for w in self.serving]
        return {
            "total_workers": len(roles),
            "http_workers": roles.count("http"),
            "ws_workers": roles.count("ws"),
            "total_requests": sums.requests,
            "total_connections": sums.connections,
            "total_errors": sums.errors,
            "avg_latency_ms": round(sums.average_ms, 3),
        }

    def health(self) -> dict[str, Any]:
        """Answer ``GET /api/health``."""
        alive = self.broker_alive
        return {
            "healthy": alive and all(map(_runs, self.serving)),
            "broker": {"alive": alive, "leader_id": "broker" if alive else None},
            "workers": {
                w.id: {
                    "healthy": _runs(w),
                    "state": w.state,
                    "latency_ms": self._lag_ms(w.id),
                }
                for w in self.serving
            },
            "nginx": {
                "installed": self.nginx.installed,
                "ssl": self.nginx.ssl_available,
            },
        }

    def _lag_ms(self, worker_id: str) -> float:
        return round(self.totals.of(worker_id).lag_s * 1000, 2)

    def _worker(self, worker: WorkerStatus) -> dict[str, Any]:
        sums = self.totals.of(worker.id)
        return {
            "worker_id": worker.id,
            "worker_type": worker.role,
            "pid": worker.pid,
            "port": worker.port,
            "socket_path": None,
            "state": worker.state,
            "started_at": _seconds(worker.started_at),
            "restart_count": worker.restarts,
            "last_health_check": self.totals.heard_at(worker.id),
            "health_latency_ms": self._lag_ms(worker.id),
            "healthy": _runs(worker),
            "node": "local",
            "uptime": worker.uptime_s or 0.0,
            "metrics": _metrics(worker, sums),
            "generation": worker.generation,
            "detail": worker.detail,
            "last_exit": _exit(worker.last_exit),
        }


def _runs(worker: WorkerStatus) -> bool:
    return worker.state == "running"


def _exit(last: LastExit | None) -> dict[str, Any] | None:
    """Return how a process ended, without its last lines: they are told once."""
    if last is None:
        return None
    found: dict[str, Any] = msgspec.to_builtins(last)
    del found["lines"]
    return found


def _seconds(moment: str | None) -> float:
    return 0.0 if moment is None else datetime.fromisoformat(moment).timestamp()


def _metrics(worker: WorkerStatus, sums: Sums) -> Mapping[str, Any]:
    """Return a worker's figures; ``connections`` are WebSockets for a ws worker."""
    http = worker.role == "http"
    return {
        "requests": sums.requests if http else sums.get("WS_IN"),
        "connections": sums.get("HTTP_CONNECTIONS") if http else sums.connections,
        "errors": sums.errors,
        "avg_latency_ms": round(sums.average_ms, 3),
        "memory_mb": round((worker.memory_bytes or 0) / _MIB, 1),
        "cpu_percent": worker.cpu_percent or 0.0,
        "bus_messages": sums.bus_messages,
        "drops": sums.drops,
        "in_flight": sums.get("IN_FLIGHT"),
        "pool_waiting": sums.get("POOL_WAITING"),
    }
