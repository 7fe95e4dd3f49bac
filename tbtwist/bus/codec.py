"""What travels on the bus, as bytes.

A message is ``[route] [items]``. The route frame is all that the broker reads:

    verb (1 byte) | length, destination | length, origin | rest

The rest depends on the verb: for the reliable lane a msgpack list of `Stamp`,
one for each parcel in the message; the first sequence number for publications; a
reason or a count where the broker answers. The items of a message are one msgpack
list, since a frame costs more than what is in it: of headers and bodies on lanes,
of events and bodies in publications. A header is one msgpack-encoded `Event` with
the contract's keys, a body the raw bytes that it is about. Where there is a single
event and no body (calls, beats), the second frame is its header. Whatever cannot be
read raises `BadFrame` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum, unique
from itertools import islice
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from tbtwist.errors import BadFrame
from tbtwist.events import Event, Item

Natural = Annotated[int, Meta(ge=0)]
Packed = tuple[bytes, bytes]
"""A header and its body, encoded once and kept until nobody needs it again."""

_T = TypeVar("_T")
_MAX_NAME: Final = 255
_DECODE_ERRORS: Final = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
)


@unique
class Verb(IntEnum):
    """What a message is for; the first byte of its route."""

    BEAT = 1
    """Worker to broker: here I am (`Beat`), at once and then every second."""
    LEAVE = 2
    """Worker to broker: I go; the answer is FENCED."""
    TABLE = 3
    """Broker to worker: who is there (`Announcement`), at every change and every second."""
    FENCED = 4
    """Broker to worker: you are out, and stay out under this identity."""
    FORWARD = 5
    """Parcels of lanes, from the worker with the connection to an http worker."""
    FORWARD_ACK = 6
    """Handled, with the replies."""
    SEND = 7
    """Parcels for connections, to the worker that owns them."""
    SEND_ACK = 8
    """Taken, or why not."""
    CALL = 9
    """A question; the destination is a target as in `EventBus.call`."""
    REPLY = 10
    """Its answer."""
    REFUSED = 11
    """Its refusal, with the sentence as payload."""
    EXPECT = 12
    """Broker to caller: so many (the rest) will answer this call."""
    UNROUTABLE = 13
    """Broker to origin: not delivered, and why (the rest); the old route follows."""
    PUBLISH = 14
    """Publications of one topic; the rest is the sequence number of the first."""


_VERBS: Final = {int(verb): verb for verb in Verb}


class Route(msgspec.Struct, frozen=True, gc=False):
    """The first frame of a message, read."""

    verb: Verb
    destination: str
    origin: str
    rest: bytes = b""


class Flag:
    """Bits of `Stamp.flags`."""

    REPEATED: Final = 1
    """Sent to this very worker before."""
    MOVED: Final = 2
    """Sent to an earlier worker before, which may have handled it."""
    FORGET: Final = 4
    """No item: the key is closed or bound elsewhere from now on."""


class Stamp(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a parcel stands in its lane.

    ``number`` counts from 1 in one ``epoch`` of the key; ``floor`` is the lowest
    number that its origin still waits for; ``items`` is how many header and body
    pairs belong to the parcel; ``reason`` says why an item was not taken.
    """

    key: str
    epoch: Natural
    number: Natural
    floor: Natural = 0
    flags: Natural = 0
    items: Natural = 1
    reason: str = ""


class Parcel(msgspec.Struct, frozen=True, gc=False):
    """A stamp and the items that travel under it."""

    stamp: Stamp
    items: tuple[Packed, ...] = ()


class Beat(msgspec.Struct, frozen=True):
    """What a worker says of itself.

    Whether it takes new keys and calls, what it has to do, and whether others can
    call it directly. ``buried`` names those in the table that were given up for dead
    before: their keys are elsewhere, so the broker must put them out.
    """

    ready: bool = False
    load: Natural = 0
    buried: tuple[str, ...] = ()
    direct: bool = False


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A worker in the broker's table."""

    identity: str
    ready: bool
    load: Natural = 0
    direct: bool = False


class Announcement(msgspec.Struct, frozen=True):
    """The broker's table.

    Unless ``settled``, the broker is too young to know that a worker which is
    not in the table is gone, but for those that have ``ended`` as whoever started
    them saw: ``slot.generation``.
    """

    boot: str
    version: Natural
    settled: bool
    members: tuple[Member, ...]
    ended: tuple[str, ...] = ()


# --- routes ------------------------------------------------------------------


def encode_route(verb: Verb, destination: str, origin: str, rest: bytes = b"") -> bytes:
    """Return a route frame; `BadFrame` if a name is not short and ASCII."""
    try:
        to, of = destination.encode("ascii"), origin.encode("ascii")
        return bytes((verb, len(to))) + to + bytes((len(of),)) + of + rest
    except ValueError as error:
        reason = f"{destination[:80]!r} or {origin[:80]!r} is no name on the bus"
        raise BadFrame(reason=reason) from error


def decode_route(frame: bytes) -> Route:
    """Read a route frame."""
    try:
        verb = _VERBS[frame[0]]
        middle = 2 + frame[1]
        end = middle + 1 + frame[middle]
        destination = frame[2:middle].decode("ascii")
        origin = frame[middle + 1 : end].decode("ascii")
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise BadFrame(reason="the route is malformed") from error
    if end > len(frame):
        raise BadFrame(reason="the route is cut off")
    return Route(verb, destination, origin, frame[end:])


# --- headers and items -------------------------------------------------------

_encoder: Final = msgspec.msgpack.Encoder()
_decode_event: Final = msgspec.msgpack.Decoder(Event).decode
_decode_stamps: Final = msgspec.msgpack.Decoder(list[Stamp]).decode
_decode_packed: Final = msgspec.msgpack.Decoder(list[Packed]).decode


def encode_event(event: Event) -> bytes:
    """Return a header; `BadFrame` if msgpack cannot carry its payload."""
    return encode(event)


def decode_event(header: bytes) -> Event:
    """Read a header."""
    return read(_decode_event, header)


def decode_payload(header: bytes, shape: type[_T]) -> _T:
    """Read a header whose payload is a ``shape``, as `Beat` and `Announcement`."""
    payload = decode_event(header).payload
    return read(lambda _: msgspec.convert(payload, shape), header)


def encode_payload(source: str, payload: Beat | Announcement) -> bytes:
    """Return a header that carries ``payload``."""
    facts = msgspec.to_builtins(payload)
    return encode(
        Event(type=f"bus.{_KINDS[type(payload)]}", source=source, payload=facts)
    )


_KINDS: Final = {Beat: "beat", Announcement: "table"}


def pack(item: Item) -> Packed:
    """Encode an item; `BadFrame` if msgpack cannot carry its payload."""
    return encode(item.event), item.body


def unpack(packed: Packed) -> Item:
    """Read an item."""
    return Item(read(_decode_event, packed[0]), packed[1])


def encode(value: object) -> bytes:
    """Return ``value`` in msgpack, or raise `BadFrame`."""
    try:
        return _encoder.encode(value)
    except _DECODE_ERRORS as error:
        raise BadFrame(reason=str(error)) from error


def read(decode: Callable[[bytes], _T], frame: bytes) -> _T:
    """Return what ``decode`` finds, or raise `BadFrame`."""
    try:
        return decode(frame)
    except _DECODE_ERRORS as error:
        raise BadFrame(reason=str(error)) from error


# --- parcels -----------------------------------------------------------------


def encode_parcels(prefix: bytes, parcels: Sequence[Parcel]) -> list[bytes]:
    """Return one message: ``prefix`` is a route frame without its rest."""
    stamps = encode([parcel.stamp for parcel in parcels])
    items = [packed for parcel in parcels for packed in parcel.items]
    return [prefix + stamps, encode(items)]


def decode_parcels(route: Route, frames: Sequence[bytes]) -> list[Parcel]:
    """Read what `encode_parcels` made; ``frames`` are those after the route."""
    stamps = decode_stamps(route)
    items = read(_decode_packed, only(frames, 1)[0])
    if sum(stamp.items for stamp in stamps) != len(items):
        raise BadFrame(reason="stamps and items do not match")
    if len(items) == len(stamps) and all(stamp.items == 1 for stamp in stamps):
        return [Parcel(s, (item,)) for s, item in zip(stamps, items, strict=True)]
    following = iter(items)
    return [Parcel(stamp, tuple(islice(following, stamp.items))) for stamp in stamps]


def decode_stamps(route: Route) -> list[Stamp]:
    """Read the stamps in a route's rest."""
    return read(_decode_stamps, route.rest)


def encode_number(number: int) -> bytes:
    """Return a sequence number or count for a route's rest."""
    return number.to_bytes(8, "big")


def decode_number(rest: bytes) -> int:
    """Read what `encode_number` made."""
    if len(rest) != 8:
        raise BadFrame(reason="a number has 8 bytes")
    return int.from_bytes(rest, "big")


def only(frames: Sequence[bytes], count: int) -> Sequence[bytes]:
    """Return ``frames`` if there are exactly ``count``."""
    if len(frames) != count:
        raise BadFrame(reason=f"{count} frames expected, {len(frames)} found")
    return frames
