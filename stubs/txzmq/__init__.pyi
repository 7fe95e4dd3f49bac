from collections.abc import Sequence
from typing import Any, NamedTuple

import zmq

class ZmqFactory:
    reactor: Any
    ioThreads: int
    lingerPeriod: int
    connections: set[ZmqConnection]
    context: zmq.Context[zmq.Socket[bytes]]
    def __init__(self) -> None: ...
    def shutdown(self) -> None: ...

class ZmqEndpointType:
    bind: str
    connect: str

class ZmqEndpoint(NamedTuple):
    type: str
    address: str

class ZmqConnection:
    socketType: int
    highWaterMark: int
    factory: ZmqFactory | None
    socket: zmq.Socket[bytes]
    read_scheduled: Any
    def __init__(
        self,
        factory: ZmqFactory,
        endpoint: ZmqEndpoint | None = None,
        identity: bytes | None = None,
    ) -> None: ...
    def addEndpoints(self, endpoints: Sequence[ZmqEndpoint]) -> None: ...
    def doRead(self) -> None: ...
    def send(self, message: Sequence[bytes]) -> None: ...
    def messageReceived(self, message: list[bytes]) -> None: ...
    def shutdown(self) -> None: ...
