"""Programs beside the server, as processes of their own."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import deferLater

from tbtwist.events import Event, Item, Publication
from tests.bus.fakes import Seen
from tests.integration.system import PROJECT, Child, environment, reactor, spawn
from tests.test_client import ProgramCase


class ExampleTests(ProgramCase):
    """``examples/programs``, as a reader would start them."""

    def start(self, name: str, *arguments: str) -> Child:
        """Start an example."""
        program = str(PROJECT / "examples" / "programs" / name)
        environ = environment(self.data_dir, PYTHONPATH=str(PROJECT))
        given = (program, "-c", str(self.config), *arguments)
        return spawn(self, given, environ, cwd=self.dir)

    async def test_script(self) -> None:
        """The script prints every worker's answer and tells them a fact."""
        facts: Seen[Publication] = Seen()
        for slot in ("http-1", "http-2"):
            bus = await self.worker(slot)
            bus.serve("app.introduce", self.introduce)
            bus.subscribe("app.remembered", facts)
        child = self.start("script.py")
        self.assertEqual(await child.ended, 0, child.output)
        self.assertEqual(child.output, "process 7 says: hello yourself\n" * 2)
        await facts.count(2)

    async def introduce(self, call: Any) -> object:
        """Answer as the example's workers do."""
        return {"pid": 7, "answer": f"{call.payload} yourself"}

    async def test_listener(self) -> None:
        """The listener prints what is published."""
        http = await self.worker("http-1")
        child = self.start("listener.py", "-n", "1")
        await self.until(lambda: "listens" in child.output)
        event = Event(type="custom", payload={"key": "tea", "value": "green"})
        while child.status is None:
            http.publish("app.remembered", Item(event))
            await deferLater(reactor, 0.05)
        self.assertEqual(child.status, 0, child.output)
        self.assertIn("tea is green", child.output)

    async def test_without_a_server(self) -> None:
        """Both say in one sentence that there is nobody."""
        self.broker.stopService()
        for name in ("script.py", "listener.py"):
            child = self.start(name)
            self.assertEqual(await child.ended, 1, child.output)
            self.assertEqual(len(child.output.splitlines()), 1, child.output)
            self.assertIn("no broker", child.output)
