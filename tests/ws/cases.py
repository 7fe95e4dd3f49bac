"""A connection, and a whole gateway, on recorded sockets and a recorded bus."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.identity import Identity
from tbtwist.auth.session import authenticated_session
from tbtwist.config.schema import Settings
from tbtwist.ws.connection import Connection, Shared, describe
from tbtwist.ws.counts import Counts
from tbtwist.ws.gateway import Gateway
from tbtwist.ws.handshake import Head
from tbtwist.ws.registry import Registry
from tests.ws.fakes import (
    START,
    FakeBus,
    FakeLane,
    FakeSocket,
    FakeVerifier,
    Log,
    head,
    make_gateway,
    settings,
)

ID = "0001-conn"
ANN = authenticated_session("u1", "Ann", level=1, exp=START + 60, random=bytes)
FACTS = {
    "conn_id": ID,
    "path": "/ws/Chat/room",
    "query": "a=1",
    "user_id": "u1",
    "user_name": "Ann",
    "session_id": ANN.session_id,
    "level": 1,
    "cloudm_user_id": "",
    "authenticated": True,
    "exp": START + 60,
}


def accepted(gateway: Gateway, socket: FakeSocket, asked: Head) -> Connection | None:
    """Return what `Gateway.accept` decides at once."""
    outcomes: list[Connection | None] = []
    deciding = Deferred.fromCoroutine(gateway.accept(socket, asked))
    deciding.addCallback(outcomes.append)
    (outcome,) = outcomes
    return outcome


class ConnectionCase(SynchronousTestCase):
    """One connection; socket and bus write into one log."""

    def setUp(self) -> None:
        """Make one that is not open yet."""
        self.log: Log = []
        self.bus = FakeBus(self.log)
        self.counts = Counts()
        self.registry: Registry[Connection] = Registry(10)
        self.shared = Shared(self.bus, self.registry, self.counts, lambda: START)
        about = describe(ID, head("/ws/Chat/room?a=1"), Identity(ANN), START)
        self.connection = Connection(about, FakeSocket(self.log), self.shared)

    def opened(self) -> Connection:
        """Open it and forget what that wrote into the log."""
        self.connection.open()
        self.log.clear()
        return self.connection

    @property
    def lane(self) -> FakeLane:
        """Its lane."""
        return self.bus.lanes[ID]


class GatewayCase(SynchronousTestCase):
    """A started gateway on a recorded bus."""

    def settings(self) -> Settings:
        """Return the settings of this gateway."""
        return settings()

    def setUp(self) -> None:
        """Start it."""
        self.clock = Clock()
        self.bus = FakeBus()
        self.verifier = FakeVerifier()
        self.gateway = make_gateway(
            self.bus, self.clock, self.settings(), self.verifier
        )
        self.gateway.start()
        self.sockets: dict[str, FakeSocket] = {}

    def join(self, target: str = "/ws/Chat/room", **headers: str) -> str:
        """Open a connection and return its id."""
        socket = FakeSocket()
        connection = accepted(self.gateway, socket, head(target, **headers))
        assert connection is not None
        self.sockets[connection.conn_id] = socket
        socket.log.clear()
        return connection.conn_id

    def turned_away(self, **headers: str) -> list[object]:
        """Try to open a connection and return what its socket was told."""
        socket = FakeSocket()
        self.assertIsNone(accepted(self.gateway, socket, head(**headers)))
        return socket.log

    def lose(self, conn_id: str) -> None:
        """Let a socket be gone."""
        connection = self.connection(conn_id)
        connection.closed(1006, "")

    def connection(self, conn_id: str) -> Connection:
        """Return a connection that is there."""
        found = self.gateway._registry.get(conn_id)
        assert found is not None
        return found

    def told(self, conn_id: str) -> list[object]:
        """Return what a socket was told since it opened."""
        return self.sockets[conn_id].log
