"""Who is connected to this worker, and who listens to which channel."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Generic, TypeVar

M = TypeVar("M")

MAX_CHANNELS_EACH: Final = 1000


class Registry(Generic[M]):
    """Members by id, in the order of their arrival, and their channels.

    Bounded: at most ``max_members``, each in at most ``max_channels_each``.
    """

    def __init__(
        self, max_members: int, max_channels_each: int = MAX_CHANNELS_EACH
    ) -> None:
        self._max_members = max_members
        self._max_channels_each = max_channels_each
        self._members: dict[str, M] = {}
        self._channels: dict[str, dict[str, M]] = {}
        self._joined: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        """Return how many members there are."""
        return len(self._members)

    @property
    def channels(self) -> int:
        """How many channels have a member."""
        return len(self._channels)

    @property
    def full(self) -> bool:
        """Whether nobody more fits in."""
        return len(self._members) >= self._max_members

    def add(self, member_id: str, member: M) -> None:
        """Add a member; look at `full` before."""
        self._members[member_id] = member

    def get(self, member_id: str) -> M | None:
        """Return a member, or None if it is gone or never was here."""
        return self._members.get(member_id)

    def remove(self, member_id: str) -> None:
        """Forget a member and take it out of its channels; twice is fine."""
        self._members.pop(member_id, None)
        for channel in self._joined.pop(member_id, ()):
            self._drop(member_id, channel)

    def join(self, member_id: str, channel: str) -> str | None:
        """Put a member into a channel; the reason why not, or None."""
        member = self._members.get(member_id)
        if member is None:
            return "the connection is gone"
        joined = self._joined.get(member_id, ())
        if channel in joined:
            return None
        if len(joined) >= self._max_channels_each:
            return "the connection is in too many channels"
        self._joined[member_id] = (*joined, channel)
        self._channels.setdefault(channel, {})[member_id] = member
        return None

    def joined(self, member_id: str) -> tuple[str, ...]:
        """Return the channels that a member is in, in the order of joining."""
        return self._joined.get(member_id, ())

    def leave(self, member_id: str, channel: str) -> None:
        """Take a member out of a channel; it need not be in it."""
        joined = self._joined.get(member_id, ())
        if channel not in joined:
            return
        rest = tuple(name for name in joined if name != channel)
        if rest:
            self._joined[member_id] = rest
        else:
            del self._joined[member_id]
        self._drop(member_id, channel)

    def _drop(self, member_id: str, channel: str) -> None:
        members = self._channels[channel]
        del members[member_id]
        if not members:
            del self._channels[channel]

    def members(self, channel: str, exclude: Collection[str] = ()) -> tuple[M, ...]:
        """Return who is in ``channel`` now, without those in ``exclude``."""
        return _without(self._channels.get(channel, {}), exclude)

    def everyone(self, exclude: Collection[str] = ()) -> tuple[M, ...]:
        """Return all members now, without those in ``exclude``."""
        return _without(self._members, exclude)


def _without(members: dict[str, M], exclude: Collection[str]) -> tuple[M, ...]:
    if not exclude:
        return tuple(members.values())
    return tuple(member for key, member in members.items() if key not in exclude)
