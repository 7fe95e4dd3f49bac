"""Producers, without a connection."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.net.feeds import PullFeed, PushFeed


class Producer:
    """Takes note."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def pauseProducing(self) -> None:
        """Take note."""
        self.log.append("pause")

    def resumeProducing(self) -> None:
        """Take note."""
        self.log.append("resume")

    def stopProducing(self) -> None:
        """Take note."""
        self.log.append("stop")


class PushTests(SynchronousTestCase):
    """A producer that runs by itself."""

    def setUp(self) -> None:
        """Make one."""
        self.producer = Producer()
        self.feed = PushFeed(cast("Any", self.producer))

    def test_runs(self) -> None:
        """One that was never paused needs no resuming, and nobody waits for it."""
        self.feed.room()
        self.assertFalse(self.feed.wrote(full=False))
        self.assertEqual(self.producer.log, [])
        self.assertFalse(self.feed.holds_open)

    def test_paused(self) -> None:
        """One that was paused is resumed once; until then it has more to give."""
        self.feed.full()
        self.assertTrue(self.feed.holds_open)
        self.feed.room()
        self.feed.room()
        self.assertEqual(self.producer.log, ["pause", "resume"])
        self.assertFalse(self.feed.holds_open)

    def test_writes_all_the_same(self) -> None:
        """One that writes into a full buffer is asked to pause again."""
        self.assertFalse(self.feed.wrote(full=True))
        self.assertEqual(self.producer.log, ["pause"])

    def test_stopped(self) -> None:
        """It hears that the connection is gone."""
        self.feed.stop()
        self.assertEqual(self.producer.log, ["stop"])


class PullTests(SynchronousTestCase):
    """A producer that is asked for each piece."""

    def setUp(self) -> None:
        """Make one."""
        self.producer = Producer()
        self.feed = PullFeed(cast("Any", self.producer))

    def test_asked_once(self) -> None:
        """However many writes make one piece, the next is asked for once."""
        wants = [self.feed.wrote(full=False) for _ in range(3)]
        self.assertEqual(wants, [True, False, False])
        self.feed.room()
        self.assertEqual(self.producer.log, ["resume"])
        self.assertTrue(self.feed.wrote(full=False))

    def test_full(self) -> None:
        """Into a full buffer nothing is asked for; when it is sent, it goes on."""
        self.feed.full()
        self.assertFalse(self.feed.wrote(full=True))
        self.assertEqual(self.producer.log, [])
        self.feed.room()
        self.assertEqual(self.producer.log, ["resume"])

    def test_to_the_end(self) -> None:
        """A connection waits for it until it is unregistered, and tells it of its end."""
        self.assertTrue(self.feed.holds_open)
        self.feed.stop()
        self.assertEqual(self.producer.log, ["stop"])
