"""Messages as workers send them to the broker, and its answers read back."""

from __future__ import annotations

from collections.abc import Sequence

from tbtwist.boundaries import Outgoing
from tbtwist.bus.codec import (
    Announcement,
    Beat,
    Verb,
    decode_payload,
    decode_route,
    encode_payload,
    encode_route,
)

Frames = tuple[bytes, ...]


def beat(
    name: str, *, ready: bool = True, load: int = 0, buried: tuple[str, ...] = ()
) -> Frames:
    """Return a worker's heartbeat."""
    payload = encode_payload(name, Beat(ready, load, buried))
    return encode_route(Verb.BEAT, "", name), payload


def message(verb: Verb, to: str, of: str, *rest: bytes) -> Frames:
    """Return any message."""
    return encode_route(verb, to, of), *rest


def verbs(messages: Sequence[Outgoing]) -> list[tuple[str, str]]:
    """Return who gets what kind of message, in order."""
    return [
        (one.identity.decode(), decode_route(one.frames[0]).verb.name)
        for one in messages
    ]


def table(messages: Sequence[Outgoing]) -> Announcement:
    """Return the table in the last message."""
    return decode_payload(messages[-1].frames[1], Announcement)
