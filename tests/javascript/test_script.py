"""The JavaScript client in Chromium, on a clock and sockets of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import TestCase

from tests.integration.browser import Browser
from tests.javascript.page import Stage


class ScriptCase(TestCase):
    """A browser with one page."""

    timeout = 120

    async def play(self, scene: Callable[[Stage], None]) -> None:
        """Play a scene on a page; nothing may fail within the page."""
        browser = await Browser.start(self)

        def run() -> None:
            stage = Stage(browser.page())
            scene(stage)
            self.assertEqual([], stage.errors)

        await browser.run(run)


class ConnectingTests(ScriptCase):
    """How it connects, and connects again."""

    async def test_address(self) -> None:
        """An address is the page's own, and tokens go as the server wants them."""

        def scene(stage: Stage) -> None:
            stage.begin("/ws/Chat/room")
            self.assertEqual(stage.url, "wss://chat.test/ws/Chat/room?resume=1")
            stage.begin("https://other.test/ws/a?b=1", token="x y", tokenIn="query")
            stage.until_sockets(2)
            expected = "wss://other.test/ws/a?b=1&token=x%20y&resume=1"
            self.assertEqual(stage.url, expected)
            stage.begin("/ws/a", token="jwt", resume=False)
            stage.until_sockets(3)
            self.assertEqual(stage.url, "wss://chat.test/ws/a")
            self.assertEqual(stage.do("last().protocols"), ["tbtwist.v1", "bearer.jwt"])

        await self.play(scene)

    async def test_backoff(self) -> None:
        """Every failure doubles the time up to a bound, with full jitter."""

        def scene(stage: Stage) -> None:
            stage.begin()
            delays = []
            for _ in range(8):
                stage.do("drop()")
                [closed] = stage.log("close")
                delays.append(closed[1]["retryInMs"])
                attempts = stage.sockets
                stage.pass_time(int(delays[-1]))
                stage.until_sockets(attempts + 1)
            expected = [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]
            self.assertEqual(delays, expected)

        await self.play(scene)

    async def test_stable(self) -> None:
        """Only a connection that lasted counts as a success."""

        def scene(stage: Stage) -> None:
            stage.begin()
            for lasted, expected in ((1000, 250), (1000, 500), (6000, 250)):
                stage.greet()
                stage.pass_time(lasted)
                stage.log()
                stage.do("drop()")
                self.assertEqual(stage.log("close")[0][1]["retryInMs"], expected)
                attempts = stage.sockets
                stage.pass_time(expected)
                stage.until_sockets(attempts + 1)

        await self.play(scene)

    async def test_close_codes(self) -> None:
        """Some ends are final, a restart is quick, and a full server gets time."""

        def scene(stage: Stage) -> None:
            for code, expected in (
                (1000, None),
                (1008, None),
                (4001, None),
                (1001, 250),
                (1006, 250),
                (1011, 250),
                (1012, 500),
                (1013, 1000),
            ):
                count = stage.sockets
                stage.begin()
                stage.until_sockets(count + 1)
                stage.greet()
                stage.log()
                stage.do(f"drop({code}, 'why')")
                [[_, closed]] = stage.log("close")
                self.assertEqual(closed.get("retryInMs"), expected, code)
                self.assertEqual(closed["final"], expected is None, code)
                self.assertEqual(closed["reason"], "why")

        await self.play(scene)

    async def test_new_token(self) -> None:
        """When its token is no good it asks for another one, a few times."""

        def scene(stage: Stage) -> None:
            stage.do("begin('/ws/a', {token: async () => `t${sockets.length}`})")
            for attempt in range(1, 5):
                stage.until_sockets(attempt)
                offered = stage.do("last().protocols[1]")
                self.assertEqual(offered, f"bearer.t{attempt - 1}")
                stage.log()
                stage.do("drop(1008, 'unauthorized')")
                stage.pass_time(int(stage.log("close")[0][1].get("retryInMs", 0)))
            self.assertEqual(stage.do("tb.state"), "closed")
            stage.do("tb.reconnect()")
            stage.until_sockets(5)

        await self.play(scene)

    async def test_back_online(self) -> None:
        """It does not wait when the network comes back."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.do("drop()")
            stage.do("window.dispatchEvent(new Event('online'))")
            stage.until_sockets(2)

        await self.play(scene)

    async def test_silence(self) -> None:
        """A line on which a ping is not answered is lost, and a new one is opened."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.pass_time(25_000)
            [ping] = stage.sent()
            stage.hear({"type": "pong", "id": ping["id"]})
            stage.pass_time(25_000)
            self.assertEqual([each["type"] for each in stage.sent()], ["ping"])
            stage.log()
            stage.pass_time(10_000)
            self.assertEqual(stage.log("close")[0][1]["reason"], "no answer")
            self.assertEqual(stage.do("sockets[0].closed"), 1000)

        await self.play(scene)


class CallTests(ScriptCase):
    """``call``."""

    async def test_answers(self) -> None:
        """Each call gets its own answer, or the server's error with its code."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.start("window.a = outcome(tb.call('Shop', 'buy', {item: 1}))")
            stage.start("window.b = outcome(tb.call('Shop', 'nothing'))")
            one, two = stage.sent()
            expected = {"type": "call", "module": "Shop", "function": "buy"}
            self.assertEqual(one, {**expected, "id": one["id"], "args": {"item": 1}})
            refused = {"type": "error", "code": "NOT_FOUND", "message": "There is no"}
            stage.hear({**refused, "id": two["id"]})
            stage.hear({"type": "response", "id": one["id"], "data": [7]})
            self.assertEqual(stage.do("a"), ["done", [7]])
            self.assertEqual(stage.do("b"), ["failed", "NOT_FOUND", "There is no"])
            self.assertEqual(stage.log("message"), [], "answers are no messages")

        await self.play(scene)

    async def test_too_late(self) -> None:
        """A call that is not answered in time fails; a late answer harms nobody."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.start(
                "window.a = outcome(tb.call('Shop', 'buy', {}, {timeout: 500}))"
            )
            [call] = stage.sent()
            stage.pass_time(500)
            self.assertEqual(stage.do("a")[1], "TIMEOUT")
            stage.hear({"type": "response", "id": call["id"], "data": 1})

        await self.play(scene)

    async def test_interrupted(self) -> None:
        """A call under way when the line breaks fails, unless it may be made twice."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.start("window.a = outcome(tb.call('Shop', 'buy'))")
            stage.start(
                "window.b = outcome(tb.call('Shop', 'look', {}, {idempotent: true}))"
            )
            stage.do("drop()")
            self.assertEqual(stage.do("a")[1], "INTERRUPTED")
            stage.pass_time(250)
            stage.until_sockets(2)
            stage.greet()
            [call] = stage.sent()
            self.assertEqual(call["function"], "look")
            stage.hear({"type": "response", "id": call["id"], "data": "seen"})
            self.assertEqual(stage.do("b"), ["done", "seen"])
            self.assertEqual(stage.log("unconfirmed"), [])

        await self.play(scene)


class SendTests(ScriptCase):
    """``send``, and what became of it."""

    async def test_queue(self) -> None:
        """What is sent while there is no line goes out later, in order, up to a bound."""

        def scene(stage: Stage) -> None:
            stage.begin(queueMessages=2)
            how = stage.do("[tb.send({n: 1}), tb.send('two'), tb.queued]")
            self.assertEqual(how, ["queued", "queued", 2])
            full = "try { tb.send(3) } catch (error) { error.code }"
            self.assertEqual(stage.do(f"eval({full!r})"), "QUEUE_FULL")
            stage.greet()
            self.assertEqual(stage.do("last().sent.splice(0)"), ['{"n":1}', "two"])
            self.assertEqual(stage.do("tb.send(new Uint8Array([1, 2]))"), "sent")
            self.assertEqual(stage.sent(), [[1, 2]])

        await self.play(scene)

    async def test_unconfirmed(self) -> None:
        """What nobody has confirmed when the line breaks is reported, not sent again."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.do("tb.send({n: 1}), tb.send({n: 2})")
            stage.pass_time(1000)
            ping = stage.sent()[-1]
            self.assertEqual(ping["type"], "ping")
            stage.do("tb.send({n: 3})")
            stage.hear({"type": "pong", "id": ping["id"]})
            stage.do("tb.send({n: 4}), tb.send({n: 5}, {idempotent: true})")
            stage.do("drop()")
            self.assertEqual(
                stage.log("unconfirmed"), [["unconfirmed", [{"n": 3}, {"n": 4}]]]
            )
            stage.pass_time(250)
            stage.until_sockets(2)
            stage.greet()
            self.assertEqual(stage.sent(), [{"n": 5}])

        await self.play(scene)

    async def test_answer_confirms(self) -> None:
        """An answer confirms what was sent before its call as well."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.start("tb.send({n: 1}), window.a = outcome(tb.call('Shop', 'buy'))")
            call = stage.sent()[-1]
            stage.hear({"type": "response", "id": call["id"], "data": 1})
            stage.do("drop()")
            self.assertEqual(stage.log("unconfirmed"), [])

        await self.play(scene)

    async def test_too_big(self) -> None:
        """A message that was too big for the server is not sent again and again."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.do("tb.send('huge', {idempotent: true})")
            stage.do("drop(1009)")
            self.assertEqual(stage.log("unconfirmed"), [["unconfirmed", ["huge"]]])

        await self.play(scene)

    async def test_closing(self) -> None:
        """After closing nothing is pending, and nothing can be sent."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.start("tb.send('waits'), window.a = outcome(tb.call('Shop', 'buy'))")
            stage.do("tb.close()")
            self.assertEqual(stage.do("a")[1], "CLOSED")
            self.assertEqual(stage.log("unsent"), [["unsent", ["waits"]]])
            again = stage.do("outcome(tb.call('Shop', 'buy'))")
            self.assertEqual(again[1], "CLOSED")
            stage.pass_time(60_000)
            self.assertEqual(stage.sockets, 1)

        await self.play(scene)


class ReceivingTests(ScriptCase):
    """Messages, channels, and coming back."""

    def come_back(self, stage: Stage, after_ms: int) -> None:
        """Let the line break, and the client open another one."""
        count = stage.sockets
        stage.do("drop()")
        stage.pass_time(after_ms)
        stage.until_sockets(count + 1)

    async def test_messages(self) -> None:
        """JSON arrives as its value, other text as it is, bytes as bytes."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.hear({"a": 1})
            stage.hear("no json {")
            stage.do("bytes([1, 30, 2])")
            stage.do("bytes([30, 30, 30, 7])")
            stage.hear("\x1e\x1e\x1e!\x1enot ours")
            bodies = [told[1] for told in stage.log("message")]
            expected = [{"a": 1}, "no json {", [1, 30, 2], [30, 7], "\x1e!\x1enot ours"]
            self.assertEqual(bodies, expected)

        await self.play(scene)

    async def test_channels(self) -> None:
        """A channel's messages are told to its listeners too, under its own name."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.start(
                "tb.channel('a b/\u2603').on('message', (m) => log.push(['channel', m]))"
            )
            stage.hear({"n": 1}, "abcdefgh.1 a%20b/%E2%98%83")
            stage.hear({"n": 2}, "abcdefgh.2 elsewhere")
            stage.hear({"n": 3}, "abcdefgh.3")
            self.assertEqual(stage.log("channel"), [["channel", {"n": 1}]])

        await self.play(scene)

    async def test_once(self) -> None:
        """A message that has been seen is passed over."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            for number in (1, 2, 2, 1, 3):
                stage.hear({"n": number}, f"abcdefgh.{number}")
            numbers = [told[1]["n"] for told in stage.log("message")]
            self.assertEqual(numbers, [1, 2, 3])

        await self.play(scene)

    async def test_resume(self) -> None:
        """It comes back with its newest token and what it has seen."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.hear({"type": "token", "resume": "T2"}, "!")
            stage.hear({"n": 1}, "abcdefgh.7")
            stage.hear({"n": 2}, "ijklmnop.3")
            self.come_back(stage, 250)
            query = "resume=T2&seen=abcdefgh.7,ijklmnop.3"
            self.assertEqual(stage.url.partition("?")[2], query)
            stage.do("tb.send('mine')")
            stage.log()
            stage.greet(resume=None, resuming=True)
            stage.hear({"n": 3}, "abcdefgh.8")
            told = {
                "recovered": True,
                "channels": {"a": {"recovered": True, "messages": 1}},
            }
            stage.hear({"type": "resumed", **told, "resume": "T3"}, "!")
            events = [
                each[0] for each in stage.log("open", "message", "resumed", "missed")
            ]
            self.assertEqual(events, ["open", "message", "resumed"])
            self.assertEqual(stage.do("last().sent"), ["mine"])
            self.come_back(stage, 500)
            self.assertIn("resume=T3&seen=ijklmnop.3,abcdefgh.8", stage.url)

        await self.play(scene)

    async def test_not_recovered(self) -> None:
        """It says so when messages may be missing, for whichever reason."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.hear({"type": "missed", "broadcasts": 2}, "!")
            self.assertEqual(stage.log("missed"), [["missed", {"broadcasts": 2}]])
            stage.do("drop()")
            stage.pass_time(250)
            stage.until_sockets(2)
            stage.greet(resume=None)
            [[_, resumed]] = stage.log("resumed")
            self.assertEqual(
                (resumed["recovered"], resumed["reason"]), (False, "not offered")
            )
            stage.hear("\x1eplain")
            self.assertEqual(stage.log("message")[0][1], "\x1eplain")

        await self.play(scene)

    async def test_presence(self) -> None:
        """Who comes and goes is told to the channel's listeners."""

        def scene(stage: Stage) -> None:
            stage.begin()
            stage.greet()
            stage.start(
                "tb.channel('a').on('presence', (n) => log.push(['who', n.joined]))"
            )
            people = [{"conn_id": "x", "user_id": "u", "user_name": "Ann"}]
            notice: dict[str, Any] = {"channel": "a", "joined": people, "left": []}
            stage.hear({"type": "presence", **notice, "more": False}, "!")
            stage.hear({"type": "presence", "mine": 1})
            self.assertEqual(
                stage.log("who", "message"),
                [
                    ["who", people],
                    ["message", {"type": "presence", "mine": 1}, {"channel": None}],
                ],
            )

        await self.play(scene)

    async def test_a_listener_that_fails(self) -> None:
        """A listener that fails does not keep the others from hearing it."""
        browser = await Browser.start(self)

        def run() -> None:
            stage = Stage(browser.page())
            stage.begin()
            stage.greet()
            stage.start(
                "tb.on('pong', () => {}), tb.once('message', () => { throw Error('oh') })"
            )
            stage.start("tb.on('message', (m) => log.push(['heard', m]))")
            stage.hear({"n": 1})
            self.assertEqual(stage.log("heard"), [["heard", {"n": 1}]])
            self.assertEqual(stage.errors, ["oh"])

        await browser.run(run)
