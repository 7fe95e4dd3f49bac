"""Publications, moved by libzmq."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import zmq
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.pump import Pump
from tbtwist.errors import CannotBind

WAIT_MS = 30_000
MARK = 100


class PumpTests(SynchronousTestCase):
    """The thread, its sockets, and its figures."""

    def setUp(self) -> None:
        """Make a place and a context."""
        self.dir = Path(tempfile.mkdtemp(prefix="tbt"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.there = Endpoints.inside(self.dir)
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)
        self.pump = Pump(self.context, (MARK, MARK))
        self.addCleanup(self.pump.close)

    def start(self) -> None:
        """Bind and start."""
        self.pump.bind(self.there)
        self.pump.start()

    def subscriber(self) -> Any:
        """Return a socket that hears everything, with room for little."""
        socket = self.context.socket(zmq.SUB)
        self.addCleanup(socket.close, 0)
        socket.set(zmq.RCVHWM, MARK)
        socket.set(zmq.SUBSCRIBE, b"")
        socket.connect(self.there.subscribers)
        return socket

    def publisher(self, *subscribers: Any) -> Any:
        """Return a socket that all subscribers hear."""
        socket = self.context.socket(zmq.PUB)
        self.addCleanup(socket.close, 0)
        socket.connect(self.there.publishers)
        deaf = set(subscribers)
        while deaf:
            socket.send(b"?")
            for subscriber in subscribers:  # read, so that nobody's queue gets full
                if subscriber.poll(20):
                    subscriber.recv()
                    deaf.discard(subscriber)
        return socket

    def hear(self, subscriber: Any, what: bytes) -> None:
        """Read on until ``what`` comes."""
        while True:
            self.assertTrue(subscriber.poll(WAIT_MS), "nothing comes any more")
            if subscriber.recv() == what:
                return

    def threads(self) -> list[str]:
        """Return the pumps that run."""
        return [t.name for t in threading.enumerate() if t.name == "pump"]

    def test_news_are_handed_on(self) -> None:
        """What is published arrives."""
        self.start()
        subscriber = self.subscriber()
        self.publisher(subscriber).send(b"news")
        self.hear(subscriber, b"news")

    def test_a_slow_subscriber_holds_up_nobody(self) -> None:
        """Who reads nothing loses what exceeds the mark; the others get it all."""
        self.start()
        slow, quick = self.subscriber(), self.subscriber()
        publisher = self.publisher(slow, quick)
        for number in range(50 * MARK):
            publisher.send(b"%d" % number)
            self.hear(quick, b"%d" % number)

    def test_figures(self) -> None:
        """It counts what was published."""
        self.start()
        subscriber = self.subscriber()
        publisher = self.publisher(subscriber)
        for number in range(20):
            publisher.send(b"%d" % number)
            self.hear(subscriber, b"%d" % number)
        while self.pump.figures["publication messages"] < 20:
            self.pump.tick()
        self.assertGreaterEqual(self.pump.figures["publication bytes"], 30)

    def test_it_ends(self) -> None:
        """Closing ends its thread and frees its addresses; twice is fine."""
        self.start()
        self.assertEqual(self.threads(), ["pump"])
        self.pump.close()
        self.pump.close()
        self.pump.tick()
        self.assertEqual(self.threads(), [])
        with zmq.Context() as another:
            self.pump = Pump(another, (MARK, MARK))
            self.start()
            self.pump.close()

    def test_an_address_that_is_not_to_be_had(self) -> None:
        """It is said at once, and nothing is left behind."""
        there = Endpoints.inside(self.dir / "nowhere")
        error = self.assertRaises(CannotBind, self.pump.bind, there)
        self.assertIn("nowhere", error.address)
        self.pump.close()
        self.assertEqual(self.threads(), [])
