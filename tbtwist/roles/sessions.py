"""What a worker knows about sessions: secrets, the cookie, who has logged out.

The one place where revocations meet the bus and the disk, for http and ws
workers alike. A worker that revokes tells the others and writes it down; the
others hear it at once, or find it in the file within a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.ledger import FILE_NAME, Ledger, RevocationFile
from tbtwist.auth.revocation import decode, encode
from tbtwist.auth.secrets import load_secrets
from tbtwist.auth.session import SessionData
from tbtwist.auth.signing import Signer
from tbtwist.boundaries import EventBus, Subscription
from tbtwist.errors import DataDirUnusable
from tbtwist.events import Event, EventType, Item, Publication
from tbtwist.roles.process import Process

_log = Logger()

TOPIC: Final = "session.revoked"


class Sessions:
    """A worker's sessions (a `tbtwist.auth.revocation.Revoker`).

    Call `load` before anything is served, `start` before the bus connects, and
    `stop` at the end. ``on_revoked`` is called after a revocation came in.
    """

    def __init__(self, process: Process, bus: EventBus) -> None:
        self._process = process
        self._bus = bus
        self._writer = ThreadPool(0, 1, name="revocations")
        self._subscription: Subscription | None = None
        self.on_revoked: Callable[[], None] = lambda: None

    def load(self) -> None:
        """Read secrets and revocations.

        Raises:
            SecretUnusable: there is no usable secret.
            DataDirUnusable: the revocations cannot be read.
        """
        process, settings = self._process, self._process.settings
        self.secrets = load_secrets(
            settings, data_dir=process.data_dir, random=process.random
        )
        self.cookies = SessionCookies(
            Signer(self.secrets), settings.session, settings.cookie_secure
        )
        path = process.data_dir / FILE_NAME
        self._ledger = Ledger(RevocationFile(path, process.random), process.now)
        try:
            self._ledger.load()
        except OSError as error:
            reason = f"{path.name} cannot be read: {error.strerror}"
            raise DataDirUnusable(path=str(path.parent), reason=reason) from error

    def start(self) -> None:
        """Listen for revocations of others, and be ready to write down ours."""
        self._subscription = self._bus.subscribe(TOPIC, self._heard)
        self._writer.start()

    def stop(self) -> None:
        """Finish writing."""
        if self._subscription is not None:
            self._subscription.cancel()
        if self._writer.started:
            self._writer.stop()

    @property
    def version(self) -> int:
        """As `Revoker.version`."""
        return self._ledger.version

    def is_revoked(self, session_id: str, user_id: str, issued_at: float) -> bool:
        """As `Revoker.is_revoked`."""
        return self._ledger.is_revoked(session_id, user_id, issued_at)

    async def revoke(self, session: SessionData) -> None:
        """As `Revoker.revoke`.

        If it cannot be written down, it counts until every worker has been replaced,
        and the log says so.
        """
        record = self._ledger.end(session)
        if record is None:
            return
        payload = {"record": encode(record)}
        source = str(self._process.identity)
        event = Event(type=EventType.SESSION_REVOKED, source=source, payload=payload)
        self._bus.publish(TOPIC, Item(event))
        try:
            await deferToThreadPool(
                self._process.reactor, self._writer, self._ledger.keep, record
            )
        except OSError as error:
            _log.error("a revocation could not be written: {error}", error=error)

    def _heard(self, publication: Publication) -> None:
        payload = publication.item.event.payload
        record = decode(payload.get("record", b""))
        if record is not None:
            self._ledger.take(record)
        self.on_revoked()
