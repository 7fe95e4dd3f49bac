"""CURVE: nobody without our keys gets through a TCP port of the bus.

The broker proves itself with its key; it asks a `Gatekeeper` (ZAP, ZeroMQ RFC 27)
about each client's. Everything behind the handshake is encrypted.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping
from typing import Final

import zmq
from twisted.logger import Logger
from txzmq import ZmqFactory
from zmq.utils import z85

from tbtwist.bus.endpoints import Endpoints, is_public
from tbtwist.bus.keys import BusKeys
from tbtwist.bus.sockets import BoundedSocket, SocketOptions

_log = Logger()

Guard = Mapping[int, bytes | int]
"""Options of a socket that takes part in CURVE."""

_ZAP_ADDRESS: Final = "inproc://zeromq.zap.01"
_ZAP_VERSION: Final = b"1.0"
_DOMAIN: Final = b"tbtwist"
_WAITING: Final = 1000
"""So many handshakes may wait for an answer."""


def broker_guard(endpoints: Endpoints, address: str) -> Guard:
    """Return the options of the socket that binds ``address``."""
    keys = _keys_for(endpoints, address)
    if keys is None:
        return {}
    return {
        zmq.CURVE_SERVER: 1,
        zmq.CURVE_SECRETKEY: z85.encode(keys.broker),
        zmq.ZAP_DOMAIN: _DOMAIN,
    }


def worker_guard(endpoints: Endpoints, address: str) -> Guard:
    """Return the options of a socket that connects to ``address``."""
    keys = _keys_for(endpoints, address)
    if keys is None:
        return {}
    secret = z85.encode(keys.worker)
    return {
        zmq.CURVE_SERVERKEY: zmq.curve_public(z85.encode(keys.broker)),
        zmq.CURVE_PUBLICKEY: zmq.curve_public(secret),
        zmq.CURVE_SECRETKEY: secret,
    }


def _keys_for(endpoints: Endpoints, address: str) -> BusKeys | None:
    return endpoints.keys if is_public(address) else None


class Gatekeeper:
    """Answers libzmq's question whether a client may come in: only with our key.

    It must be there before the first socket is bound.
    """

    def __init__(
        self, factory: ZmqFactory, keys: BusKeys, counters: Counter[str]
    ) -> None:
        self._ours = z85.decode(zmq.curve_public(z85.encode(keys.worker)))
        self._counters = counters
        options = SocketOptions(
            kind=zmq.ROUTER, hwm_send=_WAITING, hwm_recv=_WAITING, mandatory=True
        )
        self._socket = BoundedSocket(factory, options, self._asked)
        self._socket.bind(_ZAP_ADDRESS, "the keys of the bus")

    def _asked(self, message: list[bytes]) -> None:
        """Answer one question: ``peer, "", version, request, …, mechanism, key``."""
        peer, empty, version, request = message[:4]
        allowed = version == _ZAP_VERSION and self._knows(message[7:])
        if not allowed:
            self._counters["refused: foreign key"] += 1
            _log.warn("somebody without the bus' key was refused at a TCP port")
        status, text = (b"200", b"") if allowed else (b"400", b"unknown key")
        answer = (peer, empty, _ZAP_VERSION, request, status, text, b"", b"")
        try:
            self._socket.send(answer)
        except zmq.ZMQError:  # it has gone meanwhile, or asks too much
            self._counters["handshake: answer not sent"] += 1

    def _knows(self, credentials: list[bytes]) -> bool:
        if len(credentials) != 2 or credentials[0] != b"CURVE":
            return False
        return hmac.compare_digest(credentials[1], self._ours)
