"""A page in a real browser, with the client, sockets that the test plays, and a clock."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, Route

from tbtwist.javascript import script

ORIGIN = "https://chat.test"
_PAGE = "<!doctype html><meta charset=utf-8><script type=module src=/test.js></script>"
_TEST = """
import * as tbtwist from "/tbtwist.js";

const RS = "\\u001e";
window.sockets = [];
window.log = [];

class FakeSocket {
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, sent: [], closed: null });
    sockets.push(this);
  }
  send(data) { this.sent.push(typeof data === "string" ? data : [...new Uint8Array(data)]); }
  close(code) { this.closed = code; }
}

window.begin = (url, options) => {
  window.tb = tbtwist.connect(url, { WebSocket: FakeSocket, random: () => 0.5, ...options });
  for (const event of ["open", "close", "message", "resumed", "missed", "unconfirmed",
                       "unsent", "presence", "state"]) {
    tb.on(event, (...args) => log.push([event, ...args.map(plain)]));
  }
};
const plain = (value) => value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value;
window.last = () => sockets.at(-1);
window.hear = (text) => last().onmessage?.({ data: text });
window.bytes = (array) => last().onmessage?.({ data: new Uint8Array(array).buffer });
window.drop = (code = 1006, reason = "") => last().onclose?.({ code, reason });
window.outcome = (promise) => promise.then((data) => ["done", data], (e) => ["failed", e.code, e.message]);
window.ready = true;
"""


class Stage:
    """One page whose client the test drives; every method in the browser's thread."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.route(f"{ORIGIN}/**", self._serve)
        page.clock.install(time=0)
        page.goto(f"{ORIGIN}/")
        page.wait_for_function("window.ready")
        page.clock.pause_at(60_000)

    def _serve(self, route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        if path == "/tbtwist.js":
            headers = dict(script().headers)
            route.fulfill(body=script().body, headers=headers)
        elif path == "/test.js":
            route.fulfill(body=_TEST, content_type="text/javascript")
        else:
            route.fulfill(body=_PAGE, content_type="text/html")

    def do(self, expression: str) -> Any:
        """Return what an expression gives; a promise is waited for."""
        return self.page.evaluate(expression)

    def start(self, expression: str) -> None:
        """Evaluate an expression, and do not wait if it gives a promise."""
        self.page.evaluate(f"void ({expression})")

    def until_sockets(self, count: int) -> None:
        """Wait until there have been so many sockets."""
        self.page.wait_for_function(f"sockets.length === {count}")

    def begin(self, url: str = "/ws/Chat/room", **options: Any) -> None:
        """Connect, up to the handshake."""
        self.do(f"begin({json.dumps(url)}, {json.dumps(options)})")
        self.page.wait_for_function("sockets.length")

    def greet(self, **more: Any) -> None:
        """Let the server greet."""
        greeting = {"type": "connected", "conn_id": "c1", "resume": "T1", **more}
        kept = {key: value for key, value in greeting.items() if value is not None}
        self.hear(kept)

    def hear(self, message: object, stamp: str | None = None) -> None:
        """Let a message arrive, as JSON unless it is text."""
        text = message if isinstance(message, str) else json.dumps(message)
        whole = text if stamp is None else f"\x1e{stamp}\x1e{text}"
        self.do(f"hear({json.dumps(whole)})")

    def pass_time(self, ms: int) -> None:
        """Let time pass."""
        self.page.clock.run_for(ms)

    def log(self, *events: str) -> list[list[Any]]:
        """Return what the client told, and forget it; only some events if named."""
        told: list[list[Any]] = self.do("log.splice(0)")
        return [each for each in told if not events or each[0] in events]

    def sent(self) -> list[Any]:
        """Return what was sent on the newest socket, and forget it."""
        found: list[Any] = self.do("last().sent.splice(0)")
        return [json.loads(each) if isinstance(each, str) else each for each in found]

    @property
    def sockets(self) -> int:
        """How many sockets there have been."""
        return int(self.do("sockets.length"))

    @property
    def url(self) -> str:
        """Return where the newest socket leads."""
        return str(self.do("last().url"))
