"""What the page is told live."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from tbtwist.status import LastExit, UpdateStep
from tbtwist.webui.actions import Actor
from tbtwist.webui.feed import MOST_LISTENERS
from tests.webui.cases import DoorCase

KILLED = LastExit(
    at="2026-01-01T00:00:00", code=None, signal="SIGKILL", reason="killed"
)


def ignore(step: UpdateStep) -> None:
    """Let a step pass."""
    del step


class Page:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.closed = False

    def send(self, event: bytes, *, droppable: bool) -> None:
        """Take an event apart."""
        del droppable
        name, data, *rest = event.decode().split("\n")
        assert rest == ["", ""]
        value = json.loads(data.removeprefix("data: "))
        self.events.append((name.removeprefix("event: "), value))

    def close(self) -> None:
        """Take note."""
        self.closed = True

    def of(self, name: str) -> list[Any]:
        """Return what came under a name."""
        return [value for event, value in self.events if event == name]


class FeedTests(DoorCase):
    """A page that watches."""

    def setUp(self) -> None:
        """Start the feed."""
        super().setUp()
        self.feed.start()
        self.addCleanup(self.feed.stop)

    def watch(self) -> Page:
        """Open a page."""
        page = Page()
        self.assertTrue(self.feed.join(page))
        return page

    def test_hello(self) -> None:
        """Who comes late gets the recent past: samples, lines, exits, actions."""
        self.clock.advance(1)
        self.feed.said("http-1", "good morning")
        self.feed.left("http-1", 3, KILLED, ("good morning", "ouch"))
        Actor(self.manager, self.actions, "cli").scale("ws", 2)
        (hello,) = self.watch().of("hello")
        self.assertEqual(2, len(hello["history"]))
        self.assertEqual(["http-1", "good morning"], hello["lines"][0][2:])
        (story,) = hello["exits"]
        self.assertEqual(("SIGKILL", 3), (story["signal"], story["generation"]))
        self.assertEqual(["good morning", "ouch"], story["lines"])
        self.assertEqual("scale ws to 2", hello["actions"][0]["what"])
        self.assertEqual(
            ["http-1", "broker"], [w["worker_id"] for w in hello["workers"]]
        )

    def test_ticks(self) -> None:
        """Every second there are all workers and a sample."""
        page = self.watch()
        self.clock.pump([1, 1])
        first, second = page.of("tick")
        self.assertEqual(1.0, second["sample"][0] - first["sample"][0])

    def test_changes_at_once(self) -> None:
        """A change of state is told at once; many at a time are told together."""
        page = self.watch()
        for _ in range(5):
            self.feed.changed()
        self.clock.advance(0.1)
        self.assertEqual(1, len(page.of("tick")))

    def test_lines(self) -> None:
        """Lines come a few times a second, each once, also to who has just come."""
        first = self.watch()
        self.feed.said("http-1", "one")
        second = self.watch()
        self.feed.said("ws-1", "two")
        self.clock.advance(0.3)
        for page in (first, second):
            (lines,) = page.of("log")
            self.assertEqual(["one", "two"], [line[3] for line in lines])
        self.assertEqual([], second.of("hello")[0]["lines"])

    def test_long_lines_are_cut(self) -> None:
        """A line of a megabyte does not go to every page."""
        self.feed.said("http-1", "x" * 1_000_000)
        self.assertEqual(2000, len(self.feed.lines[0].text))

    def test_actions(self) -> None:
        """An update's progress is told step by step, whoever began it."""
        page = self.watch()
        self.manager.outcome = Deferred()
        self.manager.steps = (
            UpdateStep("http-1", "starting", 2),
            UpdateStep("http-1", "ready", 2),
        )
        Actor(self.manager, self.actions, "cli").update(ignore, ("http",))
        self.manager.outcome.callback(None)
        told = [(a["state"], len(a["steps"])) for a in page.of("action")]
        self.assertEqual(
            [("running", 0), ("running", 1), ("running", 2), ("done", 2)], told
        )

    def test_exits(self) -> None:
        """How a worker ended is told with its last lines, and its counts are kept."""
        page = self.watch()
        self.feed.counted("http-1", 1, {"REQUESTS_TOTAL": 5})
        self.feed.left("http-1", 1, KILLED, ("ouch",))
        (story,) = page.of("exit")
        self.assertEqual(("killed", ["ouch"]), (story["reason"], story["lines"]))
        self.assertEqual(5, self.feed.totals.all().requests)

    def test_too_many(self) -> None:
        """There are at most so many pages; who leaves makes room."""
        pages = [self.watch() for _ in range(MOST_LISTENERS)]
        self.assertFalse(self.feed.join(Page()))
        self.feed.leave(pages[0])
        self.feed.leave(pages[0])
        self.watch()

    def test_end(self) -> None:
        """At the end pages are told, and no clock runs on."""
        page = self.watch()
        self.feed.said("http-1", "bye")
        self.feed.changed()
        self.feed.stop()
        self.assertTrue(page.closed)
        self.assertEqual([], self.clock.getDelayedCalls())
