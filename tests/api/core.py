"""A dispatcher with an application in it, to ask questions in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.dispatch import Dispatcher
from tbtwist.api.health import Health
from tbtwist.api.request import Request
from tbtwist.api.response import Response
from tbtwist.apps.registry import App
from tbtwist.apps.runner import LoopRunner, Runner
from tbtwist.auth.access import AccessRules
from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.session import SessionData
from tbtwist.auth.signing import Signer
from tbtwist.config.schema import Settings, Toolbox
from tbtwist.errors import Refused
from tests.api.sample import sample_app

NOW = 1_700_000_000.0
SIGNER = Signer([b"s" * 64])
OPEN = Settings(toolbox=Toolbox(open_modules=("Open",)))


def make_dispatcher(
    app: App, settings: Settings = OPEN, runner: Runner | None = None
) -> Dispatcher:
    """Return a dispatcher whose module ``Open`` is open, at a fixed time."""
    return Dispatcher(
        app=app,
        runner=runner or LoopRunner(),
        cookies=SessionCookies(SIGNER, settings.session, settings.cookie_secure),
        rules=AccessRules.from_settings(settings),
        settings=settings,
        now=lambda: NOW,
        health=Health(worker_id="http-1", pid=7, ready=True),
        random=lambda size: b"\xab" * size,
    )


def cookie_of(level: int = 1, user_id: str = "u1") -> str:
    """Return a Cookie header of somebody."""
    session = SessionData(
        user_id=user_id,
        session_id="s1",
        user_name="Ann",
        level=level,
        exp=NOW + 60,
        validated=True,
        anonymous=False,
    )
    return f"tb_session={SIGNER.sign(session.to_json_bytes())}"


@attrs.frozen
class Answer:
    """A response, easier to look at."""

    response: Response

    @property
    def status(self) -> int:
        """Return the status."""
        return self.response.status

    @property
    def body(self) -> bytes:
        """Return a body in memory."""
        assert isinstance(self.response.body, bytes)
        return self.response.body

    @property
    def json(self) -> Any:
        """Return a JSON body."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """Return the data in the envelope."""
        return self.json["result"]["data"]

    def header(self, name: str) -> str | None:
        """Return a header, or None."""
        return dict(self.response.headers).get(name)


@attrs.frozen
class Core:
    """Asks a dispatcher, each question on a loop of its own."""

    dispatcher: Dispatcher

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Return the answer; ``path`` may have a query."""
        route, _, query = path.partition("?")
        head = Request(method, route, query, headers or {}, client_ip="192.0.2.7")
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return Answer(runner.run(self._answer(head, body)))

    async def _answer(self, head: Request, body: bytes) -> Response:
        try:
            reader = self.dispatcher.body_reader(head)
            reader.feed(body)
            parsed = reader.finish()
        except Refused as error:
            return self.dispatcher.refuse(head, error)
        return await self.dispatcher.handle(attrs.evolve(head, parsed=parsed))

    def get(self, path: str, **headers: str) -> Answer:
        """GET ``path``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", path, headers=named)

    def post_json(self, path: str, value: object, **headers: str) -> Answer:
        """POST ``value`` as JSON."""
        named = {"content-type": "application/json", **headers}
        return self.ask("POST", path, headers=named, body=json.dumps(value).encode())


class CoreTestCase(SynchronousTestCase):
    """Asks a core that serves `sample_app`."""

    def setUp(self) -> None:
        """Make the core."""
        self.app = sample_app()
        self.core = self.core_with(OPEN)

    def core_with(self, settings: Settings) -> Core:
        """Return a core with other settings; its threads end with the test."""
        self.addCleanup(self.app.pool.stop, lambda: None)
        return Core(make_dispatcher(self.app, settings))
