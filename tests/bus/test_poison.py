"""Items that kill whoever handles them: bounded, and nobody else pays for it."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from tbtwist.boundaries import Lane
from tbtwist.broker.routing import RoutingTable
from tbtwist.bus.memory import MemoryBus
from tbtwist.events import Delivery, Item
from tbtwist.services import wait
from tests.bus.fakes import Client, item, kill
from tests.bus.test_core import CONFIG, CoreCase

NOTICED_S = CONFIG.dead_after_s + CONFIG.heartbeat_s
"""How long it takes at most until everybody knows of a death."""


class PoisonCase(CoreCase):
    """Http workers that die of poison, one after another."""

    def setUp(self) -> None:
        """A ws worker; http workers come when they are needed."""
        super().setUp()
        self.ws = self.worker("ws-1")
        self.handled: list[tuple[str, str]] = []
        self.dead: list[str] = []
        self.clients: dict[str, Client] = {}

    def http(self, number: int) -> MemoryBus:
        """Return an http worker that does what a message's text says."""
        slot = f"http-{number}"
        bus = self.worker(slot)

        async def handle(delivery: Delivery) -> Sequence[Item]:
            text = delivery.item.body.decode()
            self.handled.append((slot, text))
            if text == "poison":
                self.dead.append(slot)
                bus._around.wire.close()
                self.clock.callLater(0, kill, bus)
                await Deferred[None]()
            elif text == "slow":
                await wait(self.clock, 0.5)
            elif text == "endless":
                await Deferred[None]()
            return [delivery.item]

        bus.on_delivery(handle)
        return bus

    def lane(self, key: str, *texts: str) -> Lane:
        """Open a lane and say something."""
        client = self.clients[key] = Client()
        lane = self.ws.open_lane(key, client.events())
        for text in texts:
            lane.forward(item(text))
        return lane

    def given_up(self) -> list[str]:
        """Return everything that was given up."""
        return [t for client in self.clients.values() for t in client.given_up.things]


class PoisonTests(PoisonCase):
    """What happens to the item that does it."""

    def test_two_workers_and_no_more(self) -> None:
        """It takes two workers; then it is given up, and what follows is handled."""
        for number in (1, 2, 3):
            self.http(number)
        with capturedLogs() as logs:
            self.lane("key", "poison", "a", "b")
            self.run_for(3 * NOTICED_S)
        self.assertEqual(len(self.dead), 2)
        self.assertEqual(self.given_up(), ["poison"])
        self.assertEqual(self.clients["key"].replies.things, ["a", "b"])
        self.assertEqual(self.ws.counters["poison"], 1)
        told = [e for e in logs if "is given up" in str(e.get("log_format"))]
        self.assertEqual([(e["key"], e["number"]) for e in told], [("key", 1)])
        self.assertNotIn("poison", [str(value) for value in told[0].values()])

    def test_room_and_the_end(self) -> None:
        """A window that was full has room again, and a closing lane ends."""
        self.http(1)
        lane = self.lane("key", *["poison"] * CONFIG.window_messages)
        lane.close()
        for number in range(2, 2 * CONFIG.window_messages + 1):
            self.run_for(NOTICED_S)
            self.http(number)
        self.run_for(NOTICED_S)
        self.assertEqual(len(self.given_up()), CONFIG.window_messages)
        self.assertEqual(len(self.clients["key"].rooms.things), 1)
        self.assertEqual(len(self.ws._forwards._lanes), 0)
        self.assertEqual(self.ws._forwards._budget.used_bytes, 0)

    def test_an_owner_that_fails(self) -> None:
        """Whoever cannot bear to hear of it is logged, and its lane goes on."""
        for number in (1, 2, 3):
            self.http(number)
        self.lane("key", "poison", "a")
        lane = self.ws._forwards._lanes["key"]
        assert lane.events is not None
        self.patch(self.clients["key"], "given_up", self.fail)
        self.run_for(3 * NOTICED_S)
        self.assertEqual(len(self.flushLoggedErrors(self.failureException)), 1)
        self.assertEqual(self.clients["key"].replies.things, ["a"])


class InnocentTests(PoisonCase):
    """What happens to all others."""

    def test_what_was_handled_just_before(self) -> None:
        """An acknowledgement that dies with its worker makes nobody guilty."""
        for number in (1, 2, 3, 4):
            self.http(number)
        self.lane("key", "a", "poison", "b")
        self.run_for(4 * NOTICED_S)
        self.assertEqual(self.given_up(), ["poison"])
        self.assertEqual(self.clients["key"].replies.things, ["a", "b"])
        self.assertEqual(self.handled.count((self.dead[0], "a")), 1)
        self.assertEqual(len(self.dead), 3)

    def test_what_was_in_hand_beside_it(self) -> None:
        """Of everything that two workers had in hand, only the one is given up."""
        self.http(1)
        for number in range(10):
            self.lane(f"before-{number}", "slow", "slow")
        self.lane("key", "poison", "a")
        for number in range(10):
            self.lane(f"after-{number}", "slow", "slow")
        self.run_for(0.1)
        self.assertEqual(self.dead, ["http-1"])
        self.http(2)
        self.run_for(4 * NOTICED_S)
        self.http(3)
        self.run_for(10 * NOTICED_S)
        self.assertEqual(self.given_up(), ["poison"])
        self.assertEqual(self.dead, ["http-1", "http-2"])
        for key, client in self.clients.items():
            expected = ["a"] if key == "key" else ["slow", "slow"]
            self.assertEqual(client.replies.things, expected, key)

    def test_what_was_said_before_the_death_was_noticed(self) -> None:
        """Messages to a worker that is dead already are not lost with the next one."""
        self.http(1)
        self.lane("key", "poison")
        self.run_for(0.1)
        for number in range(20):
            self.lane(f"k{number}", "a", "b")
        self.http(2)
        self.run_for(3 * NOTICED_S)
        self.http(3)
        self.run_for(3 * NOTICED_S)
        self.assertEqual(self.given_up(), ["poison"])
        replies = [c.replies.things for k, c in self.clients.items() if k != "key"]
        self.assertEqual(replies, [["a", "b"]] * 20)

    def test_one_that_takes_its_time(self) -> None:
        """A suspect that runs for long holds up the others for a while only."""
        first = self.http(1)
        self.lane("long", "endless")
        self.lane("longer", "endless")
        self.lane("short", "slow")
        self.run_for(0.1)
        kill(first)
        self.http(2)
        self.run_for(NOTICED_S)
        self.assertIn(("http-2", "endless"), self.handled)
        self.assertEqual(self.clients["short"].replies.things, [])
        self.run_for(6 * NOTICED_S)
        self.assertEqual(self.handled.count(("http-2", "endless")), 2)
        self.assertEqual(self.clients["short"].replies.things, ["slow"])

    def test_fresh_messages_do_not_wait(self) -> None:
        """Who had nothing in hand at the dead worker goes on at once."""
        first = self.http(1)
        self.lane("long", "endless")
        self.run_for(0.1)
        kill(first)
        self.http(2)
        self.run_for(NOTICED_S)
        self.lane("fresh", "a")
        self.run_for(0.1)
        self.assertEqual(self.clients["fresh"].replies.things, ["a"])

    def test_suspects_whose_worker_drains_go_elsewhere(self) -> None:
        """Whoever is held up at a worker that drains is handled by another."""
        first = self.http(1)
        self.lane("long", "endless")
        self.lane("held", "endless")
        self.run_for(0.1)
        kill(first)
        second = self.http(2)
        self.run_for(NOTICED_S)
        self.assertEqual(self.handled.count(("http-2", "endless")), 1)
        second.announce(ready=False)
        self.http(3)
        self.run_for(0.2)
        self.assertEqual(self.handled.count(("http-3", "endless")), 1)


class PlannedTests(PoisonCase):
    """Ends that are no deaths."""

    def test_workers_that_leave(self) -> None:
        """However often a worker leaves with an item in hand, it is not given up."""
        self.lane("key", "endless", "a")
        for number in range(1, 5):
            bus = self.http(number)
            self.run_for(0.1)
            bus.close()
            self.run_for(0.1)
        self.assertEqual(len(self.handled), 4)
        self.assertEqual(self.ws._forwards._lanes["key"].entries[0].deaths, 0)

    def test_workers_killed_while_they_drain(self) -> None:
        """A worker that did not finish its drain in time has not died of an item."""
        self.lane("key", "endless")
        for number in range(1, 4):
            bus = self.http(number)
            self.run_for(0.1)
            bus.announce(ready=False)
            self.run_for(0.1)
            kill(bus)
            self.run_for(NOTICED_S)
        self.assertEqual(len(self.handled), 3)
        self.assertEqual(self.given_up(), [])

    def test_workers_lost_with_the_broker(self) -> None:
        """When broker and worker end together, nobody knows who did it."""
        self.lane("key", "endless")
        for number in range(1, 4):
            bus = self.http(number)
            self.run_for(0.1)
            kill(bus)
            self.hub._router = RoutingTable(f"b{number}", CONFIG, self.clock.seconds())
            self.run_for(2 * NOTICED_S)
        self.assertEqual(len(self.handled), 3)
        self.assertEqual(self.given_up(), [])
