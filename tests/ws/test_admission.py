"""What a request gets: a WebSocket, or a plain HTTP answer."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.admission import Readiness, Worker, answer
from tbtwist.ws.handshake import Answer, Head
from tbtwist.ws.origins import OriginRules
from tests.ws.fakes import head

READY = Worker("ws-1", Readiness.READY, 3, 12.5)
RULES = OriginRules((), local=False)


def get(target: str, method: str = "GET", worker: Worker = READY) -> Answer | None:
    """Return the answer to a plain request."""
    plain = Head(method, target, "", {"host": "example.com"})
    return answer(plain, worker, RULES)


class PlainTests(SynchronousTestCase):
    """Requests that are not handshakes."""

    def status(
        self, target: str, method: str = "GET", worker: Worker = READY
    ) -> int | None:
        """Return the status of the answer."""
        found = get(target, method, worker)
        return None if found is None else found.status

    def test_health(self) -> None:
        """A living process is healthy in every phase of its life."""
        for readiness in Readiness:
            worker = attrs.evolve(READY, readiness=readiness)
            self.assertEqual(self.status("/health", worker=worker), 200)

    def test_ready(self) -> None:
        """``/ready`` is 200 only while the worker wants traffic, and says why not."""
        found = {}
        for readiness in Readiness:
            told = get("/ready", worker=attrs.evolve(READY, readiness=readiness))
            assert told is not None
            assert not isinstance(told.body, bytes)
            found[told.body["status"]] = told.status
        self.assertEqual(found, {"starting": 503, "ready": 200, "draining": 503})

    def test_upgrade_required(self) -> None:
        """A browser that opens a WebSocket's address learns what it speaks."""
        told = get("/ws/Chat/room")
        assert told is not None
        self.assertEqual(told.status, 426)
        self.assertEqual(
            dict(told.headers),
            {"Upgrade": "websocket", "Connection": "Upgrade, close"},
        )

    def test_elsewhere(self) -> None:
        """Everything else is not here."""
        for target in ("/", "/ws", "/ws/", "/wsx/a", "//ws/a", "/healthz"):
            self.assertEqual(self.status(target), 404, target)

    def test_methods(self) -> None:
        """Only GET and HEAD are answered; HEAD without a body."""
        told = get("/health", "POST")
        assert told is not None
        self.assertEqual((told.status, told.headers), (405, (("Allow", "GET, HEAD"),)))
        for target in ("/health", "/nothing", "/ws/a"):
            told = get(target, "HEAD")
            assert told is not None
            self.assertTrue(told.bodiless, target)


class HandshakeTests(SynchronousTestCase):
    """Requests for a WebSocket."""

    def test_admitted(self) -> None:
        """A handshake under ``/ws/`` may go on, whatever its query."""
        for target in ("/ws/Chat/room", "/ws/room", "/ws/a?session_token=x"):
            self.assertIsNone(answer(head(target), READY, RULES), target)

    def test_while_starting(self) -> None:
        """A worker that waits for its bus takes clients already."""
        starting = attrs.evolve(READY, readiness=Readiness.STARTING)
        self.assertIsNone(answer(head(), starting, RULES))

    def test_while_draining(self) -> None:
        """A draining worker sends new clients to another one, soon."""
        draining = attrs.evolve(READY, readiness=Readiness.DRAINING)
        told = answer(head(), draining, RULES)
        assert told is not None
        self.assertEqual((told.status, told.headers), (503, (("Retry-After", "1"),)))

    def test_origin(self) -> None:
        """A foreign page is refused with 403 before any handshake."""
        told = answer(head(origin="https://evil.com"), READY, RULES)
        assert told is not None
        self.assertEqual(told.status, 403)

    def test_wrong_path(self) -> None:
        """A WebSocket elsewhere is 404."""
        told = answer(head("/socket"), READY, RULES)
        assert told is not None
        self.assertEqual(told.status, 404)
