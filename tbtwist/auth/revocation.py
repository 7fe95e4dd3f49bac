"""Sessions that have ended before their time (docs/bus.md, "Revocation"); pure.

A revoked session is remembered until it would have ended anyway. When there
are too many, the oldest are folded into "what this user got before T is
revoked", and in the end "what anybody got before T": a bound may end sessions
too early, never too late. Session ids are kept and passed on as hashes only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar

import attrs
import msgspec

from tbtwist.auth.session import SessionData

EVERYBODY: Final = ""
"""The user of the last resort: older sessions of all are revoked."""
_FOLDED_SHARE: Final = 10
_SLACK_S: Final = 60.0
"""A record outlives its session by this, as tokens may outlive their ``exp``."""


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """A session was ended ``at``; by itself it would have ended at ``until``."""

    session: str
    user: str
    at: float
    until: float


class Before(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """Sessions of ``user`` that began at ``before`` or earlier have ended."""

    user: str
    before: float
    until: float


Record = Ended | Before
_R = TypeVar("_R", Ended, Before)
_decoder: Final = msgspec.json.Decoder(Record)


class Revoker(Protocol):
    """Knows and makes revocations."""

    @property
    def version(self) -> int:
        """A number that grows when there is a revocation more."""

    def is_revoked(self, session_id: str, user_id: str, issued_at: float) -> bool:
        """Whether this session has ended before its time; see `Revocations`."""

    async def revoke(self, session: SessionData) -> None:
        """End ``session`` everywhere; when this returns, it will stay ended."""


def digest(session_id: str) -> str:
    """Return what stands for a session id outside of its cookie."""
    raw = session_id.encode("utf-8", "surrogatepass")
    return hashlib.sha256(raw).hexdigest()[:32]


def ending(session: SessionData, now: float) -> Ended | None:
    """Return the record that ends ``session``; None for one that has no end or user.

    An API key is not ended by logging out: it is taken out of the configuration.
    """
    if not session.user_id or session.exp <= 0:
        return None
    until = session.exp + _SLACK_S
    return Ended(digest(session.session_id), session.user_id, now, until)


def encode(record: Record) -> bytes:
    """Return a record as one line of JSON, without its end."""
    return msgspec.json.encode(record)


def decode(line: bytes) -> Record | None:
    """Read one line; None for what is none of ours."""
    try:
        record: Record = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record


@attrs.define(eq=False)
class Revocations:
    """All revocations that still matter, at most ``bound`` sessions and users."""

    bound: int = 100_000
    version: int = attrs.field(default=0, init=False)
    _sessions: dict[str, Ended] = attrs.field(factory=dict, init=False)
    _users: dict[str, Before] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._sessions) + len(self._users)

    def add(self, record: Record, now: float) -> bool:
        """Take a record, of ours or of another worker; False if it says nothing new."""
        if record.until <= now or not self._enter(record):
            return False
        self.version += 1
        self._shrink(now)
        return True

    def add_all(self, records: Iterable[Record], now: float) -> None:
        """Take many records."""
        for record in records:
            self.add(record, now)

    def is_revoked(self, session_id: str, user_id: str, issued_at: float) -> bool:
        """Whether the session has ended before its time.

        ``issued_at`` 0 means that nobody knows when it began: then whatever was
        folded counts against it. Nobody (no user) cannot be revoked.
        """
        if not user_id or not (self._sessions or self._users):
            return False
        if digest(session_id) in self._sessions:
            return True
        folds = (self._users.get(user_id), self._users.get(EVERYBODY))
        return any(fold is not None and issued_at <= fold.before for fold in folds)

    def records(self) -> Iterator[Record]:
        """Everything, as records that make the same revocations again."""
        yield from self._users.values()
        yield from self._sessions.values()

    def snapshot(self) -> bytes:
        """Return everything as lines of JSON."""
        return b"".join(encode(record) + b"\n" for record in self.records())

    def restore(self, snapshot: bytes, now: float) -> None:
        """Take what `snapshot` wrote; damaged lines are left out."""
        lines = (decode(line) for line in snapshot.split(b"\n") if line)
        self.add_all((record for record in lines if record is not None), now)

    def forget_ended(self, now: float) -> None:
        """Drop what has ended by itself by now."""
        self._sessions = {k: e for k, e in self._sessions.items() if e.until > now}
        self._users = {k: b for k, b in self._users.items() if b.until > now}

    def _enter(self, record: Record) -> bool:
        if isinstance(record, Before):
            return self._enter_fold(record)
        known = self._sessions.get(record.session)
        if not record.user or (known is not None and known.until >= record.until):
            return False
        self._sessions[record.session] = record
        return True

    def _enter_fold(self, new: Before) -> bool:
        known = self._users.get(new.user, new)
        merged = Before(
            new.user, max(known.before, new.before), max(known.until, new.until)
        )
        if self._users.get(new.user) == merged:
            return False
        self._users[new.user] = merged
        return True

    def _shrink(self, now: float) -> None:
        if len(self._sessions) <= self.bound and len(self._users) <= self.bound:
            return
        self.forget_ended(now)
        if len(self._sessions) > self.bound:
            for old in self._oldest(self._sessions):
                del self._sessions[old.session]
                self._enter_fold(Before(old.user, old.at, old.until))
        if len(self._users) > self.bound:
            for fold in self._oldest(self._users):
                if fold.user != EVERYBODY:
                    del self._users[fold.user]
                self._enter_fold(Before(EVERYBODY, fold.before, fold.until))

    def _oldest(self, entries: dict[str, _R]) -> list[_R]:
        """Return the tenth of ``entries`` that came first, and one at least."""
        excess = len(entries) - self.bound
        count = max(excess, self.bound // _FOLDED_SHARE, 1)
        return list(entries.values())[:count]


@attrs.define(eq=False)
class MemoryRevoker:
    """A `Revoker` of one process, without a memory beyond it."""

    _now: Callable[[], float]
    _known: Revocations = attrs.Factory(Revocations)

    @property
    def version(self) -> int:
        """As `Revoker.version`."""
        return self._known.version

    def is_revoked(self, session_id: str, user_id: str, issued_at: float) -> bool:
        """As `Revoker.is_revoked`."""
        return self._known.is_revoked(session_id, user_id, issued_at)

    async def revoke(self, session: SessionData) -> None:
        """As `Revoker.revoke`, here only."""
        now = self._now()
        record = ending(session, now)
        if record is not None:
            self._known.add(record, now)
