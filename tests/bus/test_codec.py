"""The bytes of the bus."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, strategies as st
from msgspec import UNSET
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus import codec, news, topics
from tbtwist.bus.codec import Announcement, Beat, Member, Parcel, Route, Stamp, Verb
from tbtwist.bus.wire import BATCH_ITEMS
from tbtwist.errors import BadFrame
from tbtwist.events import Event, Item

names = st.text(st.characters(codec="ascii"), max_size=255)
naturals = st.integers(0, 2**63)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
payloads = st.dictionaries(
    texts,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | texts
        | st.binary(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)
events = st.builds(
    Event,
    type=texts,
    source=texts,
    target=texts,
    payload=payloads,
    correlation_id=texts,
    timestamp=st.floats(allow_nan=False),
    ttl=st.floats(allow_nan=False),
    traceparent=st.just(UNSET) | texts,
    tracestate=st.just(UNSET) | texts,
)
items = st.builds(Item, event=events, body=st.binary(max_size=50))
stamps = st.builds(
    Stamp, texts, naturals, naturals, naturals, naturals, st.just(0), texts
)


@st.composite
def parcels(draw: st.DrawFn) -> Parcel:
    """Return any parcel with its items."""
    inside = tuple(map(codec.pack, draw(st.lists(items, max_size=3))))
    stamp = msgspec.structs.replace(draw(stamps), items=len(inside))
    return Parcel(stamp, inside)


class RoundTripTests(SynchronousTestCase):
    """What is written can be read."""

    @given(st.sampled_from(Verb), names, names, st.binary(max_size=40))
    def test_routes(self, verb: Verb, to: str, of: str, rest: bytes) -> None:
        """A route says what was put in."""
        frame = codec.encode_route(verb, to, of, rest)
        self.assertEqual(codec.decode_route(frame), Route(verb, to, of, rest))

    @given(items)
    def test_items(self, item: Item) -> None:
        """An item arrives equal, its body byte for byte."""
        self.assertEqual(codec.unpack(codec.pack(item)), item)

    @given(st.lists(parcels(), max_size=4))
    def test_parcels(self, several: list[Parcel]) -> None:
        """Several parcels ride in one message and come apart again."""
        prefix = codec.encode_route(Verb.FORWARD, "http-1.1.ab", "ws-1.1.cd")
        route, *rest = codec.encode_parcels(prefix, several)
        self.assertEqual(codec.decode_parcels(codec.decode_route(route), rest), several)

    @given(st.lists(items, max_size=4))
    def test_publications(self, several: list[Item]) -> None:
        """Several items of a topic ride in one frame and come apart again."""
        frame = news.encode_items([news.encode_item(one) for one in several])
        self.assertEqual(news.decode_items(frame), several)

    def test_many_publications(self) -> None:
        """A frame holds as many as a batch does."""
        several = [Item(Event(type=str(number))) for number in range(BATCH_ITEMS)]
        frame = news.encode_items([news.encode_item(one) for one in several])
        self.assertEqual(news.decode_items(frame), several)

    def test_control(self) -> None:
        """Heartbeats and tables arrive equal."""
        news = Announcement(
            "b1", 3, settled=True, members=(Member("ws-1.1.ab", True, 2),)
        )
        for payload in (Beat(ready=True, load=7), news):
            header = codec.encode_payload("broker", payload)
            self.assertEqual(codec.decode_payload(header, type(payload)), payload)

    @given(st.integers(0, 2**64 - 1))
    def test_numbers(self, number: int) -> None:
        """A sequence number arrives."""
        self.assertEqual(codec.decode_number(codec.encode_number(number)), number)

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
    def test_topics(self, topic: str) -> None:
        """A topic arrives, and is no prefix of another one."""
        frame = topics.encode_topic(topic)
        self.assertEqual(topics.decode_topic(frame), topic)
        self.assertFalse(topics.encode_topic(topic + "x").startswith(frame))

    def test_the_header_has_the_contracts_keys(self) -> None:
        """Anybody who reads msgpack finds the keys of the contract."""
        header, _ = codec.pack(Item(Event(type="ws.message")))
        expected = "type source target payload correlation_id timestamp ttl"
        self.assertEqual(list(msgspec.msgpack.decode(header)), expected.split())


class GarbageTests(SynchronousTestCase):
    """What cannot be read is a `BadFrame`, whatever it is."""

    def quietly(self, call: Any, *args: Any) -> None:
        """Allow nothing but a `BadFrame`."""
        try:
            call(*args)
        except BadFrame as error:
            self.assertTrue(str(error))

    @given(st.binary(max_size=80))
    def test_any_bytes(self, frame: bytes) -> None:
        """Garbage never raises anything else."""
        self.quietly(codec.decode_route, frame)
        self.quietly(codec.decode_event, frame)
        self.quietly(codec.unpack, (frame, b""))
        self.quietly(codec.decode_payload, frame, Announcement)
        self.quietly(codec.decode_number, frame)
        self.quietly(news.decode_items, frame)
        self.quietly(topics.decode_topic, frame)
        route = Route(Verb.FORWARD, "", "", frame)
        self.quietly(codec.decode_parcels, route, [frame])

    @given(items, st.data())
    def test_damaged_headers(self, item: Item, data: st.DataObject) -> None:
        """One wrong byte in a header is read, or is a BadFrame."""
        header = bytearray(codec.pack(item)[0])
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(
            st.integers(0, 255)
        )
        self.quietly(codec.decode_event, bytes(header))
        self.quietly(codec.decode_payload, bytes(header), Beat)

    @given(st.sampled_from(Verb), names, names, st.data())
    def test_cut_routes(
        self, verb: Verb, to: str, of: str, data: st.DataObject
    ) -> None:
        """A route that is cut off is refused."""
        frame = codec.encode_route(verb, to, of)
        end = data.draw(st.integers(0, len(frame) - 1))
        self.assertRaises(BadFrame, codec.decode_route, frame[:end])

    def test_deep_nesting(self) -> None:
        """A bomb of nested lists is refused, not followed."""
        bomb = b"\x81\xa7payload" + b"\x91" * 100_000 + b"\xc0"
        self.assertRaises(BadFrame, codec.decode_event, bomb)

    def test_what_msgpack_cannot_carry(self) -> None:
        """An unusable payload is refused where it is sent."""
        for odd in (object(), 2**70, "\ud800"):
            event = Event(type="x", payload={"odd": odd})
            self.assertRaises(BadFrame, codec.pack, Item(event))

    def test_names_and_topics_that_cannot_travel(self) -> None:
        """Long or non-ASCII names and topics with NUL are refused."""
        for name in ("x" * 256, "ä"):
            self.assertRaises(BadFrame, codec.encode_route, Verb.CALL, name, "")
            self.assertRaises(BadFrame, codec.encode_route, Verb.CALL, "", name)
        self.assertRaises(BadFrame, topics.encode_topic, "a\0b")
        self.assertRaises(BadFrame, topics.encode_topic, "\ud800")

    def test_stamps_without_their_items(self) -> None:
        """A message with too few or too many items is refused."""
        prefix = codec.encode_route(Verb.FORWARD, "a", "b")
        one = codec.pack(Item(Event(type="x")))
        route, *frames = codec.encode_parcels(
            prefix, [Parcel(Stamp("k", 1, 1), (one,))]
        )
        read = codec.decode_route(route)
        none, two = (
            codec.encode_parcels(b"", [Parcel(Stamp("k", 1, 1), packed)])[1]
            for packed in ((), (one, one))
        )
        for wrong in ([], [none], [two], [*frames, b""], [*frames, *frames]):
            self.assertRaises(BadFrame, codec.decode_parcels, read, wrong)
