"""Coming back: what was missed, or the honest word that it is not known."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.boundaries import IncomingCall
from tbtwist.config.schema import KIB, Settings
from tbtwist.errors import CallTimeout, Unroutable
from tbtwist.events import EventType, Publication
from tbtwist.ws.gateway import Gateway
from tests.ws.cases import GatewayCase
from tests.ws.fakes import FakeBus, item, make_gateway, settings, signed
from tests.ws.resumable import Client, join, leave

ROOM = "Chat/room"


class ResumeCase(SynchronousTestCase):
    """Two ws workers that hear the same broadcasts, and a client in a room."""

    def settings(self) -> Settings:
        """Return the settings of both."""
        return settings()

    def setUp(self) -> None:
        """Start both; let the client join the room at the first."""
        self.clock = Clock()
        self.buses = [FakeBus(), FakeBus()]
        self.workers = [self.worker(bus) for bus in self.buses]
        self.position()
        self.client = self.client_in_room()

    def worker(self, bus: FakeBus) -> Gateway:
        """Start a worker."""
        gateway = make_gateway(bus, self.clock, self.settings())
        gateway.start()
        return gateway

    def client_in_room(self, **headers: str) -> Client:
        """Return a client in the room, whose token says so."""
        client = Client(headers=headers)
        client.connect(self.workers[0])
        join(self.buses[0], client, ROOM)
        self.settle(client)
        return client

    def settle(self, client: Client) -> None:
        """Let the worker send the token that is due."""
        self.clock.advance(0.1)
        client.read()

    def position(self) -> None:
        """Let the publisher tell its position."""
        for bus in self.buses:
            bus.broadcast(item(EventType.WS_POSITION))

    def say(self, text: bytes, channel: str | None = ROOM, **more: object) -> None:
        """Broadcast something, which both workers hear."""
        kind = EventType.WS_BROADCAST_CHANNEL
        payload: dict[str, Any] = {"channel": channel, **more}
        if channel is None:
            kind, payload = EventType.WS_BROADCAST_ALL, more
        for bus in self.buses:
            bus.broadcast(item(kind, text, **payload))

    def heard(self) -> list[bytes]:
        """Return what the client has heard, in order."""
        self.client.read()
        return [text for _, text in self.client.heard]


class RecoveredTests(ResumeCase):
    """Nothing is lost, and nothing comes twice."""

    def test_missed(self) -> None:
        """What the room said meanwhile comes in order, before anything new."""
        for number in range(6):
            if number == 2:
                self.client.lose()
            if number == 4:
                self.client.connect(self.workers[0])
            self.say(b"%d" % number)
        self.assertEqual(self.heard(), [b"0", b"1", b"2", b"3", b"4", b"5"])
        self.assertIs(self.client.resumed["recovered"], True)
        told = {ROOM: {"recovered": True, "messages": 2}}
        self.assertEqual(self.client.resumed["channels"], told)

    def test_order(self) -> None:
        """First the greeting, then what was missed, then how it went."""
        self.client.lose()
        self.say(b"meanwhile")
        heard_before = len(self.client.said)
        self.client.connect(self.workers[0])
        kinds = [each["type"] for each in self.client.said[heard_before:]]
        self.assertEqual(kinds, ["connected", "resumed"])
        greeting = self.client.said[heard_before]
        self.assertIs(greeting["resuming"], True)
        self.assertNotIn("resume", greeting)
        self.assertEqual(self.heard(), [b"meanwhile"])

    def test_another_worker(self) -> None:
        """It makes no difference which worker a client comes back to."""
        self.say(b"one")
        self.client.lose()
        self.say(b"two")
        self.client.connect(self.workers[1])
        self.say(b"three")
        self.assertEqual(self.heard(), [b"one", b"two", b"three"])
        self.assertIs(self.client.resumed["recovered"], True)

    def test_again_and_again(self) -> None:
        """A client can come back any number of times, through any worker."""
        expected = []
        for number in range(10):
            self.client.lose()
            expected.append(b"%d" % number)
            self.say(expected[-1])
            self.client.connect(self.workers[number % 2])
            self.assertIs(self.client.resumed["recovered"], True)
        self.assertEqual(self.heard(), expected)

    def test_broken_in_between(self) -> None:
        """A connection that breaks while it is brought up to date costs nothing."""
        token = self.client.token
        self.client.lose()
        self.say(b"one")
        self.client.connect(self.workers[1])
        self.client.lose()
        self.client.token = token  # the new one was on the way
        self.say(b"two")
        self.client.connect(self.workers[0])
        self.assertEqual(self.heard(), [b"one", b"two"])

    def test_a_worker_that_is_behind(self) -> None:
        """What one worker had sent already does not come again from another."""
        told = item(EventType.WS_BROADCAST_CHANNEL, b"early", channel=ROOM)
        self.buses[0].broadcast(told)
        self.assertEqual(self.heard(), [b"early"])
        self.client.lose()
        self.client.connect(self.workers[1])
        self.buses[1].broadcast(told)
        self.say(b"later")
        self.assertEqual(self.heard(), [b"early", b"later"])
        self.assertIs(self.client.resumed["recovered"], True)

    def test_everybody(self) -> None:
        """What was said to everybody is said to those who come back, too."""
        self.client.lose()
        self.say(b"to all", None)
        self.client.connect(self.workers[1])
        self.assertEqual(self.client.heard, [(None, b"to all")])

    def test_other_channels(self) -> None:
        """What other channels said is none of its business."""
        self.client.lose()
        self.say(b"secret", "elsewhere")
        self.client.connect(self.workers[1])
        self.assertEqual(self.heard(), [])
        self.assertIs(self.client.resumed["recovered"], True)

    def test_excluded(self) -> None:
        """What was not meant for it does not come afterwards either."""
        before = self.client.conn_id
        self.client.lose()
        self.say(b"not you", exclude=[before])
        self.say(b"you")
        self.client.connect(self.workers[1])
        self.assertEqual(self.heard(), [b"you"])

    def test_new_publisher(self) -> None:
        """An http worker that began meanwhile is no gap."""
        self.client.lose()
        news = item(EventType.WS_BROADCAST_CHANNEL, b"new here", channel=ROOM)
        for bus in self.buses:
            bus.broadcast(news, origin="http-2.9.bb")
        self.client.connect(self.workers[1])
        self.assertEqual(self.heard(), [b"new here"])
        self.assertIs(self.client.resumed["recovered"], True)

    def test_long_silence(self) -> None:
        """After an hour of silence a connection can still be resumed."""
        for _ in range(360):
            self.clock.pump([1.0] * 10)
            self.position()
        self.settle(self.client)
        self.client.lose()
        self.say(b"at last")
        self.client.connect(self.workers[1])
        self.assertEqual(self.heard(), [b"at last"])

    def test_renewal(self) -> None:
        """A new token comes before half of the time is over, and not all the time."""
        self.clock.pump([1.0] * 130)
        self.client.read()
        renewed = [each for each in self.client.said if each["type"] == "token"]
        self.assertEqual(len(renewed), 1 + 2, "one for joining, two for two minutes")


class HonestTests(ResumeCase):
    """``recovered: false``, where something may be missing."""

    def settings(self) -> Settings:
        """Keep little."""
        return settings(history_size=3, max_message_size=10 * KIB)

    def assert_not_recovered(self, reason: str | None = None) -> None:
        """Check what the client was told."""
        self.assertIs(self.client.resumed["recovered"], False)
        self.assertEqual(self.client.resumed.get("reason"), reason)

    def test_too_many(self) -> None:
        """When more was said than is kept, nothing of it comes, and that is said."""
        self.client.lose()
        for number in range(4):
            self.say(b"%d" % number)
        self.client.connect(self.workers[1])
        self.assertEqual(self.heard(), [])
        self.assert_not_recovered()
        told = {ROOM: {"recovered": False, "messages": 0}}
        self.assertEqual(self.client.resumed["channels"], told)
        self.say(b"new")
        self.assertEqual(self.heard(), [b"new"], "it is in the room again")

    def test_too_much(self) -> None:
        """What cannot be sent at once is not sent."""
        self.client.lose()
        for number in range(3):
            self.say(b"%d" % number * 4000)
        self.client.connect(self.workers[1])
        self.assertEqual(self.heard(), [])
        self.assert_not_recovered()

    def test_one_of_two(self) -> None:
        """A channel that is known completely is, whatever became of another."""
        join(self.buses[0], self.client, "quiet")
        self.settle(self.client)
        self.client.lose()
        self.say(b"hush", "quiet")
        for number in range(4):
            self.say(b"%d" % number)
        self.client.connect(self.workers[1])
        self.assertEqual(self.client.heard, [("quiet", b"hush")])
        self.assert_not_recovered()
        told = self.client.resumed["channels"]
        self.assertEqual(told["quiet"], {"recovered": True, "messages": 1})

    def test_lost_on_the_bus(self) -> None:
        """What the worker itself has missed it does not make up."""
        self.client.lose()
        lost = item(EventType.WS_BROADCAST_CHANNEL, b"after a gap", channel=ROOM)
        self.buses[1].broadcast(lost, missed=1)
        self.client.connect(self.workers[1])
        self.assert_not_recovered()

    def test_lost_while_connected(self) -> None:
        """Who is connected is told when something was lost on the way to its worker."""
        position = item(EventType.WS_POSITION)
        self.buses[0].broadcast(position, missed=2)
        self.client.read()
        self.assertEqual(self.client.said[-1], {"type": "missed", "broadcasts": 2})

    def test_young_worker(self) -> None:
        """A worker that knows of no publisher cannot tell what was said before it."""
        self.client.lose()
        self.client.connect(self.worker(FakeBus()))
        self.assert_not_recovered()

    def test_young_worker_with_a_colleague(self) -> None:
        """A new worker that asked knows what was said before it."""
        self.client.lose()
        self.say(b"before")
        asked = IncomingCall("ws-2", "m", None)
        answer: Any = self.buses[0].served["ws.history"](asked)
        bus = FakeBus()
        bus.answers["ws.history"] = [
            self.successResultOf(Deferred.fromCoroutine(answer))
        ]
        bus.answers["ws.tell_position"] = [True]
        young = self.worker(bus)
        young.catch_up()
        self.clock.advance(0.25)
        self.client.connect(young)
        self.assertEqual(self.heard(), [b"before"])
        self.assertIs(self.client.resumed["recovered"], True)

    def test_expired(self) -> None:
        """Who stays away for too long is told so."""
        self.client.lose()
        self.clock.advance(181)
        self.client.connect(self.workers[1])
        self.assert_not_recovered("expired")
        self.assertEqual(self.client.resumed["channels"], {})

    def test_nonsense(self) -> None:
        """A token that is none does no harm: the connection is a new one."""
        self.client.lose()
        self.client.token = "nonsense"
        self.client.connect(self.workers[1])
        self.assert_not_recovered("unknown token")
        join(self.buses[1], self.client, ROOM)
        self.settle(self.client)
        self.client.lose()
        self.say(b"hi")
        self.client.connect(self.workers[0])
        self.assertEqual(self.heard(), [b"hi"])

    def test_too_many_channels(self) -> None:
        """A client in more channels than a token takes is told that it is not complete."""
        for number in range(101):
            join(self.buses[0], self.client, f"c{number}")
        self.settle(self.client)
        self.assertLess(len(self.client.query), 16 * KIB)
        self.client.lose()
        self.client.connect(self.workers[1])
        self.assert_not_recovered()


class AccessTests(ResumeCase):
    """Nobody gets with a token what they could not get without."""

    def test_somebody_else(self) -> None:
        """A stolen token is of no use to anybody else, nor to nobody."""
        ann = self.client_in_room(cookie=f"tb_session={signed('ann')}")
        ann.lose()
        self.say(b"for Ann")
        for cookie in (f"tb_session={signed('eve')}", ""):
            eve = Client(headers={"cookie": cookie}, token=ann.token)
            eve.connect(self.workers[1])
            self.assertEqual(eve.resumed["reason"], "not yours")
            self.say(b"still for Ann")
            eve.read()
            self.assertEqual(eve.heard, [])
        ann.connect(self.workers[1])
        self.assertEqual(len(ann.heard), 3)

    def test_earlier_positions(self) -> None:
        """What was said before one came in cannot be asked for."""
        self.say(b"before")
        late = self.client_in_room()
        late.lose()
        self.say(b"after")
        late.seen = dict.fromkeys(self.client.seen, 0)
        self.client.read()
        late.seen = dict.fromkeys(self.client.seen, 1)
        late.connect(self.workers[1])
        self.assertEqual([text for _, text in late.heard], [b"after"])

    def pass_on_departures(self) -> None:
        """Let the second worker hear what the first one published."""
        for topic, what in self.buses[0].published:
            if topic in self.buses[1].subscriptions:
                self.buses[1].subscriptions[topic](Publication(topic, what))

    def test_taken_out(self) -> None:
        """Whoever was taken out of a channel is not brought back by an old token."""
        old = self.client.token
        leave(self.buses[0], self.client, ROOM)
        self.pass_on_departures()
        for worker in self.workers:
            self.client.lose()
            self.say(b"without you")
            self.client.token = old
            self.client.connect(worker)
            self.assertEqual(self.client.resumed["channels"], {})
            self.say(b"without you")
        self.assertEqual(self.heard(), [])

    def test_taken_back_in(self) -> None:
        """Whoever was taken back in is in, also after coming back."""
        leave(self.buses[0], self.client, ROOM)
        self.clock.advance(1)
        join(self.buses[0], self.client, ROOM)
        self.settle(self.client)
        self.pass_on_departures()
        self.client.lose()
        self.say(b"hi")
        self.client.connect(self.workers[1])
        self.assertEqual(self.heard(), [b"hi"])

    def test_taken_out_later_in_the_line(self) -> None:
        """It does not help to keep the token of an earlier connection."""
        old = self.client.token
        self.client.lose()
        self.client.connect(self.workers[0])
        leave(self.buses[0], self.client, ROOM)
        self.client.lose()
        self.client.token = old
        self.client.connect(self.workers[0])
        self.assertEqual(self.client.resumed["channels"], {})

    def test_sent_away(self) -> None:
        """Whoever the application sent away begins anew."""
        gone = item(EventType.WS_CLOSE, conn_id=self.client.conn_id, code=4001)
        self.buses[0].bring(gone)
        self.pass_on_departures()
        self.client.lose()
        self.client.connect(self.workers[1])
        self.assertEqual(self.client.resumed["reason"], "sent away")


class WireTests(GatewayCase):
    """What goes over the wire."""

    def broadcast(self, body: bytes, **payload: object) -> None:
        """Say something to everybody."""
        self.bus.broadcast(item(EventType.WS_BROADCAST_ALL, body, **payload))

    def test_others(self) -> None:
        """Who did not ask for it gets messages just as the application gave them."""
        ann, client = self.join(), Client()
        client.connect(self.gateway)
        self.broadcast(b"hi")
        self.broadcast(b"\x1eodd", binary=True)
        sent = [("send", b"hi", False), ("send", b"\x1eodd", True)]
        self.assertEqual(self.told(ann), sent)
        client.read()
        self.assertEqual(client.heard, [(None, b"hi"), (None, b"\x1eodd")])

    def test_one_copy_for_all(self) -> None:
        """Every resumable client gets the same value, so its frame is built once."""
        messages: list[Any] = []
        for _ in range(3):
            client = Client()
            client.connect(self.gateway)
            self.patch(client._socket, "send", messages.append)
        self.join()
        self.broadcast(b"hi")
        self.assertEqual(len(messages), 3)
        self.assertEqual(len({id(each) for each in messages}), 1)

    def test_not_mistaken(self) -> None:
        """A message that looks like a stamp is no stamp."""
        client = Client()
        client.connect(self.gateway)
        for body in (b"\x1e!\x1e{}", b"\x1ex.9\x1ehi", b"plain"):
            sent = item(EventType.WS_SEND, body, conn_id=client.conn_id)
            self.bus.bring(sent)
        client.read()
        expected = [b"\x1e!\x1e{}", b"\x1ex.9\x1ehi", b"plain"]
        self.assertEqual(client.other, expected)

    def test_channel_names(self) -> None:
        """A channel may be called anything."""
        client = Client()
        client.connect(self.gateway)
        name = 'a "b"\x1e\n\N{SNOWMAN} %41/c'
        join(self.bus, client, name)
        told = item(EventType.WS_BROADCAST_CHANNEL, b"hi", channel=name)
        self.bus.broadcast(told)
        client.read()
        self.assertEqual(client.heard, [(name, b"hi")])

    def test_handlers(self) -> None:
        """Handlers see the query without what was said to the worker."""
        client = Client(path="/ws/Chat/room")
        client.connect(self.gateway)
        asked = self.join("/ws/Chat/room?a=1&resume=1&seen=x&b=2")
        for conn_id, query in ((client.conn_id, ""), (asked, "a=1&b=2")):
            facts = self.bus.lanes[conn_id].items[0].event.payload
            self.assertEqual(facts["query"], query)
        other = self.join("/ws/Chat/room?seen=1")
        self.assertEqual(
            self.bus.lanes[other].items[0].event.payload["query"], "seen=1"
        )

    def test_shut_down(self) -> None:
        """A worker that leaves leaves no timer behind."""
        client = Client()
        client.connect(self.gateway)
        join(self.bus, client, "a", presence=True)
        self.gateway.shut_down(1.0)
        self.clock.pump([0.1] * 20)
        client.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CatchingUpCase(GatewayCase):
    """A worker that starts."""

    def caught_up(self) -> None:
        """Let it ask whoever was there before."""
        asking = self.gateway.catch_up()
        self.clock.advance(0.25)
        self.successResultOf(asking)


class OffTests(CatchingUpCase):
    """Resuming can be turned off."""

    def settings(self) -> Settings:
        """Turn it off."""
        return settings(resume_s=0.0)

    def test_off(self) -> None:
        """Then a client that asks for it is like any other, and nothing is kept."""
        client = Client()
        client.connect(self.gateway)
        self.assertEqual(
            client.said, [{"type": "connected", "conn_id": client.conn_id}]
        )
        self.bus.broadcast(item(EventType.WS_BROADCAST_ALL, b"hi"))
        client.read()
        self.assertEqual(client.other, [b"hi"])
        self.assertEqual(len(self.gateway._recall.history), 0)
        self.assertEqual(self.catch_up(), [])

    def catch_up(self) -> list[tuple[str, str]]:
        """Return whom the worker asks when it starts."""
        self.caught_up()
        return self.bus.calls


class LearningTests(CatchingUpCase):
    """A worker that starts asks those who were there before."""

    def history(self) -> Any:
        """Return what this worker tells others."""
        answer: Any = self.bus.served["ws.history"](IncomingCall("ws-2", "m", None))
        return self.successResultOf(Deferred.fromCoroutine(answer))

    def test_asked(self) -> None:
        """It has http workers tell their positions, and ws workers their history."""
        said = item(EventType.WS_BROADCAST_CHANNEL, b"hi", channel=ROOM)
        self.bus.broadcast(said)
        history = self.history()
        self.setUp()
        self.bus.answers = {"ws.history": [history], "ws.tell_position": [True]}
        self.caught_up()
        asked = [("http*", "ws.tell_position"), ("ws*", "ws.history")]
        self.assertEqual(self.bus.calls, asked)
        kept = self.gateway._recall.history.after(ROOM, {}, 0.0)
        self.assertEqual([each.body for each in kept or ()], [b"hi"])

    def test_nobody(self) -> None:
        """It starts as well when nobody answers."""
        self.bus.answers = {
            "ws.history": Unroutable(target="ws*"),
            "ws.tell_position": CallTimeout(target="http*", method="m", timeout_s=1.0),
        }
        self.caught_up()
        self.assertEqual(self.gateway._recall.positions.vector, {})
