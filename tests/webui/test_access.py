"""Who gets in, and who does not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.webui.attempts import MOST_FAILURES, Attempts
from tbtwist.webui.visitors import IDLE_S, LINK_LIFETIME_S, SESSION_LIFETIME_S
from tests.webui.cases import HERE, SECRET, DoorCase


class SecretTests(DoorCase):
    """Programs come with the manager's secret."""

    def test_right(self) -> None:
        """The secret opens every path, in its own header or as a Bearer token."""
        for headers in (
            {"x-cluster-secret": SECRET},
            {"authorization": f"Bearer {SECRET}"},
        ):
            self.assertEqual(200, self.ask("GET", "/api/status", None, headers).status)

    def test_wrong_or_missing(self) -> None:
        """Without the secret nothing is answered, nothing is done, and it is recorded."""
        self.assertEqual(403, self.ask("GET", "/api/status").status)
        for path in ("/api/shutdown", "/metrics", "/api/events", "/api/no-such-path"):
            answer = self.ask("POST", path, {}, {"x-cluster-secret": f"{SECRET}x"})
            self.assertIn(answer.status, {403, 429}, path)
        self.assertEqual([], self.manager.stops)
        self.assertIn(("127.0.0.1", "POST /api/shutdown", "refused"), self.records)

    def test_guessing(self) -> None:
        """After five wrong secrets an address waits, even with the right one."""
        for _ in range(MOST_FAILURES):
            wrong = self.ask("GET", "/api/status", None, {"x-cluster-secret": "x"})
            self.assertEqual(403, wrong.status)
        answer = self.program("GET", "/api/status")
        self.assertEqual((429, "60"), (answer.status, answer.header("Retry-After")))
        self.assertEqual("TooManyRequests", answer.json["error"])
        self.clock.advance(59.5)
        self.assertEqual("1", self.program("GET", "/api/status").header("Retry-After"))
        self.clock.advance(0.5)
        self.assertEqual(200, self.program("GET", "/api/status").status)

    def test_guessing_locks_no_browser_out(self) -> None:
        """Who is in stays in while somebody else on the machine guesses."""
        browser = self.log_in()
        for _ in range(MOST_FAILURES + 1):
            self.ask("GET", "/api/status", None, {"x-cluster-secret": "x"})
        self.assertEqual(200, browser.get("/api/status").status)


class AttemptsTests(SynchronousTestCase):
    """Failures are counted by address."""

    def test_others_are_not_concerned(self) -> None:
        """One address that guesses holds up no other."""
        attempts = Attempts(lambda: 0.0)
        for _ in range(MOST_FAILURES):
            attempts.failed("10.0.0.1")
        self.assertEqual((60, 0), (attempts.wait_s("10.0.0.1"), attempts.wait_s("::1")))

    def test_success_forgives(self) -> None:
        """A right secret makes the wrong ones before it forgotten."""
        attempts = Attempts(lambda: 0.0)
        for _ in range(MOST_FAILURES - 1):
            attempts.failed("a")
        attempts.succeeded("a")
        attempts.failed("a")
        self.assertEqual(0, attempts.wait_s("a"))

    def test_memory_is_bounded(self) -> None:
        """A million addresses do not fill the memory."""
        attempts = Attempts(lambda: 0.0)
        for number in range(3000):
            attempts.failed(str(number))
        self.assertLessEqual(len(attempts._failures), 1024)


class LinkTests(DoorCase):
    """Browsers come with a link."""

    def test_in(self) -> None:
        """A link lets a browser in: a cookie that no script reads and no site sends."""
        link = self.gate.visitors.new_link()
        answer = self.ask(
            "POST", "/login", {"token": link}, {"origin": f"http://{HERE}"}
        )
        cookie = answer.header("Set-Cookie")
        for flag in ("HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(flag, cookie)
        self.assertNotIn(link, cookie)
        self.assertEqual("log in from 127.0.0.1", self.records[0][1])

    def test_only_once(self) -> None:
        """A link works once; who finds it later stays out, and it is recorded."""
        link = self.gate.visitors.new_link()
        self.assertEqual(200, self.ask("POST", "/login", {"token": link}).status)
        again = self.ask("POST", "/login", {"token": link})
        self.assertEqual(403, again.status)
        self.assertIn("tbtwist ui", again.json["message"])
        self.assertEqual(("127.0.0.1", "POST /login", "refused"), self.records[-1])

    def test_too_old(self) -> None:
        """A link ends after a quarter of an hour."""
        link = self.gate.visitors.new_link()
        self.clock.advance(LINK_LIFETIME_S)
        self.assertEqual(403, self.ask("POST", "/login", {"token": link}).status)

    def test_guessed(self) -> None:
        """Links cannot be guessed at speed."""
        statuses = [
            self.ask("POST", "/login", {"token": f"guess {number}"}).status
            for number in range(MOST_FAILURES + 1)
        ]
        self.assertEqual([403] * MOST_FAILURES + [429], statuses)

    def test_nonsense(self) -> None:
        """What is no token is answered like a wrong one; what is no JSON is a 400."""
        self.assertEqual(403, self.ask("POST", "/login", {"token": 7}).status)
        self.assertEqual(403, self.ask("POST", "/login").status)
        self.assertEqual(400, self.ask("POST", "/login", ["token"]).status)
        self.assertEqual(405, self.ask("GET", "/login").status)

    def test_links_are_bounded(self) -> None:
        """Of many links the newest count."""
        links = [self.gate.visitors.new_link() for _ in range(33)]
        self.assertEqual(403, self.ask("POST", "/login", {"token": links[0]}).status)
        self.assertEqual(200, self.ask("POST", "/login", {"token": links[1]}).status)


class SessionTests(DoorCase):
    """A browser that is in."""

    def test_reads_with_its_cookie(self) -> None:
        """The page reads everything with its cookie, and gets its CSRF token."""
        browser = self.log_in()
        self.assertEqual(200, browser.get("/api/workers").status)
        session = browser.get("/api/session").json
        self.assertEqual(browser.csrf, session["csrf_token"])

    def test_changes_with_its_token(self) -> None:
        """What changes something needs the token that only the page can read."""
        browser = self.log_in()
        body = {"type": "http", "count": 3}
        for token in ("", "x", "é"):
            refused = browser.post("/api/scale", body, x_csrf_token=token)
            self.assertEqual(403, refused.status)
        self.assertEqual([], self.manager.orders)
        self.assertEqual(200, browser.post("/api/scale", body).status)
        self.assertEqual([("scale", "http", 3)], self.manager.orders)

    def test_of_another_browser(self) -> None:
        """The token of one browser does not serve another."""
        one, other = self.log_in(), self.log_in()
        self.assertNotEqual(one.csrf, other.csrf)
        answer = one.post("/api/shutdown", x_csrf_token=other.csrf)
        self.assertEqual(403, answer.status)

    def test_other_pages(self) -> None:
        """A page from elsewhere changes nothing, not even with cookie and token."""
        browser = self.log_in()
        for origin in ("http://evil.example", "null", "http://127.0.0.1:8000", "x"):
            answer = browser.post("/api/shutdown", {}, origin=origin)
            self.assertEqual(403, answer.status, origin)
        self.assertEqual([], self.manager.stops)

    def test_ends(self) -> None:
        """A session ends when it is idle for long, and after half a day in any case."""
        idle, busy = self.log_in(), self.log_in()
        self.clock.advance(IDLE_S - 1)
        self.assertEqual(200, busy.get("/api/status").status)
        self.clock.advance(1)
        self.assertEqual(403, idle.get("/api/status").status)
        for _ in range(int(SESSION_LIFETIME_S / IDLE_S * 2)):
            busy.get("/api/status")
            self.clock.advance(IDLE_S / 2)
        self.assertEqual(403, busy.get("/api/status").status)

    def test_log_out(self) -> None:
        """Who logs out is out: the cookie is cleared, and a copy of it is worth nothing."""
        browser = self.log_in()
        answer = browser.post("/logout")
        self.assertIn("Max-Age=0", answer.header("Set-Cookie"))
        self.assertEqual(403, browser.get("/api/status").status)

    def test_strange_cookies(self) -> None:
        """Cookies that cannot be read are none."""
        for cookie in ("\x00;;==", "tbtwist_manager=", 'tbtwist_manager="'):
            answer = self.ask("GET", "/api/status", None, {"cookie": cookie})
            self.assertEqual(403, answer.status)


class PlaceTests(DoorCase):
    """Names that others may point here are refused."""

    def test_hosts(self) -> None:
        """An address, localhost and the configured name are the manager's."""
        for host in (HERE, "localhost:9900", "[::1]:9000", "OPS.example", "10.0.0.7"):
            answer = self.ask("GET", "/", None, {"host": host})
            self.assertEqual(200, answer.status, host)

    def test_rebinding(self) -> None:
        """A page whose name was pointed here reads nothing, whatever it knows."""
        for host in ("evil.example:9000", "localhost.evil.example", "", "[", "a:b:c"):
            headers = {"host": host, "x-cluster-secret": SECRET}
            answer = self.ask("GET", "/api/status", None, headers)
            self.assertEqual(421, answer.status, host)

    def test_page_is_public(self) -> None:
        """The page itself tells nothing, so anybody here may load it, and only load it."""
        self.assertEqual(200, self.ask("GET", "/").status)
        self.assertEqual(405, self.ask("POST", "/").status)
        self.assertEqual(403, self.ask("GET", "/../pages.py").status)
