"""Frames in any pieces, and floods of them."""

from __future__ import annotations

from hypothesis import given, strategies as st

from tbtwist.config.schema import Settings
from tests.ws.fakes import settings
from tests.ws.wire import BINARY, CLOSE, PING, PONG, TEXT, Client, WireCase, frame

CONTINUATION = 0
OPCODES = (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG, 3, 11)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Return frames, most of them good, in an order that may be wrong."""
    found = []
    for _ in range(draw(st.integers(1, 8))):
        opcode = draw(st.sampled_from(OPCODES))
        payload = draw(
            st.one_of(
                st.text(max_size=40).map(str.encode),
                st.binary(max_size=140),
                st.just(b"x" * 300),
                st.just(b"x" * 1001),
            )
        )
        fin = draw(st.sampled_from((True, True, False)))
        found.append(frame(opcode, payload, fin=fin))
    return found


class PiecesTests(WireCase):
    """However bytes are cut by the network, they mean the same."""

    def settings(self) -> Settings:
        """Let the same address come again and again."""
        return settings(max_message_size=1000, connects_burst=1_000_000)

    def outcome(self, pieces: list[bytes]) -> tuple[object, ...]:
        """Return what a client got and what was passed on."""
        client = self.open()
        for piece in pieces:
            client.send(piece)
        result = self.bodies(client), client.frames()
        client.lose()
        return result

    @given(sent=streams(), size=st.integers(1, 40))
    def test_any_pieces(self, sent: list[bytes], size: int) -> None:
        """One read or many: our reader and Autobahn's agree on every stream."""
        data = b"".join(sent)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        whole = self.outcome([data])
        self.assertEqual(whole, self.outcome(sent))
        self.assertEqual(whole, self.outcome(pieces))


class FloodTests(WireCase):
    """More frames than anybody needs."""

    def settings(self) -> Settings:
        """Let pongs wait."""
        return settings(max_message_size=1000, max_waiting_bytes=10_000_000)

    def turns(self, client: Client) -> None:
        """Let the reactor run until everything has been read."""
        self.clock.advance(0)
        self.assertEqual(client.transport.producerState, "producing")

    def test_turns(self) -> None:
        """A flood is read in parts, between which others have their turn."""
        client = self.open()
        client.send(frame(PING, b"") * 1000)
        self.assertEqual(len(client.frames()), 256)
        other = self.open()
        other.send(frame(TEXT, b"hello"))
        self.assertEqual(self.bodies(other), [b"hello"])
        self.turns(client)
        self.assertEqual(len(client.frames()), 1000 - 256)

    def test_fragments_of_nothing(self) -> None:
        """A message in endless empty pieces costs no memory, and can still end."""
        client = self.open()
        client.send(frame(TEXT, b"a", fin=False))
        client.send(frame(CONTINUATION, b"", fin=False) * 5000)
        self.turns(client)
        self.assertEqual(client.protocol._gathered, b"a")
        client.send(frame(CONTINUATION, b"b"))
        self.assertEqual(self.bodies(client), [b"ab"])

    def test_lost_before_its_turn(self) -> None:
        """A flooding client that leaves is forgotten."""
        client = self.open()
        client.send(frame(PING, b"") * 1000)
        client.lose()
        self.clock.advance(0)
        self.assertEqual(len(self.gateway._registry), 0)

    def test_paused_too(self) -> None:
        """Its turn does not read what a full window holds back."""
        client = self.open()
        self.lane(client).room = False
        client.send(frame(TEXT, b"1") + frame(PING, b"") * 600)
        self.clock.advance(0)
        self.assertEqual(client.frames(), [])
        self.lane(client).events.on_room()
        self.turns(client)
        self.assertEqual(len(client.frames()), 600)
