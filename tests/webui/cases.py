"""The manager's site without a socket or a second of waiting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.response import Response
from tbtwist.webui.actions import Actions
from tbtwist.webui.api import Api
from tbtwist.webui.asked import Asked
from tbtwist.webui.door import Door, LiveFeed
from tbtwist.webui.feed import Feed
from tbtwist.webui.gate import Gate
from tbtwist.webui.pages import load_pages
from tests.control.fakes import FakeManager

WALL_CLOCK = 1_700_000_000.0
SECRET = "open sesame, says the operator"
HERE = "127.0.0.1:9000"


@attrs.frozen
class Answered:
    """An answer as a client reads it."""

    response: Response

    @property
    def status(self) -> int:
        """Return its status."""
        return self.response.status

    @property
    def json(self) -> Any:
        """Return its body, which is JSON."""
        assert isinstance(self.response.body, bytes)
        return json.loads(self.response.body)

    def header(self, name: str) -> str:
        """Return a header; empty if it is missing."""
        found = dict(self.response.headers)
        return found.get(name, "")


class DoorCase(SynchronousTestCase):
    """Has a manager's door, with a manager behind it that only remembers."""

    def setUp(self) -> None:
        """Make both."""
        self.clock = Clock()
        self.manager = FakeManager()
        self.records: list[tuple[str, str, str]] = []
        self.reasons: list[str] = []
        self.made = 0
        self.reloads = 0
        self.reloading: Deferred[None] = succeed(None)
        self.gate = Gate(
            SECRET.encode(), "ops.example", self.clock.seconds, self.random
        )
        self.actions = Actions(self.now)
        self.feed = Feed(self.clock, self.now, self.manager.status, self.actions)
        self.api = Api(self.manager, self.feed, self.reload_nginx, 15.0)
        self.door = Door(self.gate, self.api, load_pages(), self.record)

    def now(self) -> float:
        """Return the wall clock."""
        return WALL_CLOCK + float(self.clock.seconds())

    def random(self, count: int) -> bytes:
        """Return bytes that nobody had before."""
        self.made += 1
        return self.made.to_bytes(count, "big")

    def reload_nginx(self) -> Deferred[None]:
        """Take note."""
        self.reloads += 1
        return self.reloading

    def record(self, *, who: str, what: str, outcome: str, reason: str = "") -> None:
        """Keep the audit log."""
        self.records.append((who, what, outcome))
        self.reasons.append(reason)

    # --- asking

    def pending(self, asked: Asked) -> Deferred[Response | LiveFeed]:
        """Ask; the answer may take a while."""
        return Deferred.fromCoroutine(self.door.answer(asked))

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """Return the answer to a request that is answered at once."""
        answer = self.successResultOf(
            self.pending(self.asked(method, path, body, headers))
        )
        assert isinstance(answer, Response)
        return Answered(answer)

    def asked(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Asked:
        """Return a request from this machine."""
        sent = b"" if body is None else json.dumps(body).encode()
        given = {"host": HERE, **(headers or {})}
        return Asked(method, path, given, sent, "127.0.0.1")

    def program(self, method: str, path: str, body: object = None) -> Answered:
        """Ask with the secret."""
        return self.ask(method, path, body, {"x-cluster-secret": SECRET})

    def log_in(self) -> Browser:
        """Return a browser that used a link."""
        link = self.gate.visitors.new_link()
        answer = self.ask(
            "POST", "/login", {"token": link}, {"origin": f"http://{HERE}"}
        )
        cookie = answer.header("Set-Cookie").partition(";")[0]
        return Browser(self, cookie, answer.json["csrf_token"])


@attrs.frozen
class Browser:
    """A browser that is in."""

    case: DoorCase
    cookie: str
    csrf: str

    def get(self, path: str) -> Answered:
        """Ask as the page does."""
        return self.case.ask("GET", path, None, {"cookie": self.cookie})

    def post(self, path: str, body: object = None, **headers: str) -> Answered:
        """Change something as the page does; ``headers`` are added or replaced."""
        given = {
            "cookie": self.cookie,
            "origin": f"http://{HERE}",
            "x-csrf-token": self.csrf,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.case.ask("POST", path, body, given)
