"""The bounded way of an application's items to the bus, from any thread."""

from __future__ import annotations

import threading
from typing import Final

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from tbtwist.apps.crossing import CallOnReactor
from tbtwist.boundaries import AppPort
from tbtwist.errors import TbtwistError
from tbtwist.events import Item
from tbtwist.identity import conn_owner
from tbtwist.tracing import within

_log = Logger()

MAX_PENDING: Final = 10_000
"""How many sends may be under way before ``ws_send`` and its kin say False."""


@attrs.define(eq=False)
class _Ticket:
    """Whether a send was refused while its sender could still be told."""

    refused: bool = False


class Outbox:
    """The way of an application's items to the bus.

    Bounded: when `MAX_PENDING` sends are not done, further ones are refused and
    counted in ``refused``. The bus' own work is under nobody's trace: items carry it.
    """

    def __init__(self, port: AppPort, call_on_reactor: CallOnReactor) -> None:
        self.port = port
        self.call_on_reactor = call_on_reactor
        self.refused = 0
        self._pending = 0
        self._lock = threading.Lock()

    def send(self, item: Item) -> bool:
        """Hand ``item`` over; False if it is known already that it will not go."""
        if conn_owner(item.conn_id) is None or not self._take():
            return False
        ticket = _Ticket()
        self.call_on_reactor(within, None, self._send, item, ticket)
        return not ticket.refused

    def publish(self, topic: str, item: Item) -> bool:
        """Hand a publication over."""
        self.call_on_reactor(within, None, self._publish, topic, item)
        return True

    def _take(self) -> bool:
        with self._lock:
            if self._pending >= MAX_PENDING:
                self.refused += 1
                return False
            self._pending += 1
            return True

    def _send(self, item: Item, ticket: _Ticket) -> None:
        sending: Deferred[None] = maybeDeferred(self.port.send, item)
        _ = sending.addBoth(self._sent, item, ticket)

    def _sent(self, outcome: object, item: Item, ticket: _Ticket) -> None:
        with self._lock:
            self._pending -= 1
        if isinstance(outcome, Failure):
            ticket.refused = True
            _log_undone(outcome, item.event.type)

    def _publish(self, topic: str, item: Item) -> None:
        try:
            self.port.publish(topic, item)
        except TbtwistError:
            _log_undone(Failure(), topic)


def _log_undone(failure: Failure, what: str) -> None:
    """Log what did not go out; that a client has left is nothing special."""
    if failure.check(TbtwistError):
        _log.debug("{what}: {reason}", what=what, reason=failure.getErrorMessage())
    else:
        _log.failure("{what} failed", failure=failure, what=what)
