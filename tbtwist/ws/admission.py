"""What a request head gets: a WebSocket, or a plain HTTP answer."""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

from tbtwist.ws import opening
from tbtwist.ws.handshake import Answer, Head, refusal
from tbtwist.ws.origins import OriginRules

WS_PREFIX: Final = "/ws/"


class Readiness(Enum):
    """Whether new connections should come to this worker."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


@attrs.frozen
class Worker:
    """What the health checks tell about this worker."""

    slot: str
    readiness: Readiness
    connections: int
    timestamp: float


def answer(head: Head, worker: Worker, origins: OriginRules) -> Answer | None:
    """Return the plain answer to ``head``; None if a WebSocket may open.

    ``/health`` says that the process lives, ``/ready`` that it wants traffic
    (contract §2); a WebSocket lives under ``/ws/`` only.
    """
    if head.method not in {"GET", "HEAD"}:
        return refusal(405, "Only GET is allowed here.", (("Allow", "GET, HEAD"),))
    if head.path == "/health":
        return _tell(head, worker, 200, "healthy")
    if head.path == "/ready":
        status = 200 if worker.readiness is Readiness.READY else 503
        return _tell(head, worker, status, worker.readiness.value)
    refused = _refuse_socket(head, worker, origins)
    return None if refused is None else _for_method(head, refused)


def _tell(head: Head, worker: Worker, status: int, word: str) -> Answer:
    body = {
        "status": word,
        "worker_id": worker.slot,
        "connections": worker.connections,
        "timestamp": worker.timestamp,
    }
    return _for_method(head, Answer(status, body))


def _refuse_socket(head: Head, worker: Worker, origins: OriginRules) -> Answer | None:
    if not head.path.startswith(WS_PREFIX) or head.path == WS_PREFIX:
        return refusal(404, "There is nothing here; WebSockets are under /ws/.")
    wrong = opening.refuse(head)
    if wrong is not None:
        return wrong
    if worker.readiness is Readiness.DRAINING:
        return refusal(503, "This worker is shutting down.", (("Retry-After", "1"),))
    if not origins.allows(head.headers.get("origin"), head.headers.get("host", "")):
        return refusal(403, "This origin may not connect.")
    return None


def _for_method(head: Head, plain: Answer) -> Answer:
    return attrs.evolve(plain, bodiless=head.method == "HEAD")
