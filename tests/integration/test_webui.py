"""The manager's page as an operator has it: the whole system, and a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from playwright.sync_api import Locator, Page, expect
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import TestCase

from tests.integration.browser import Browser, Visitor
from tests.integration.system import System

HELLO = "/api/Chat/hello?name=Ada"


@contextmanager
def load(port: int) -> Iterator[None]:
    """Ask a worker again and again over one connection, as long as this lasts."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.01):
            fetch(port, HELLO)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def fetch(
    port: int, path: str, method: str = "GET", body: object = None, **headers: str
) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    sent = None if body is None else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, sent, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def row(page: Page, worker: str) -> Locator:
    """Return a worker's row."""
    return page.locator(f"tr[data-worker={worker}]")


def cell(page: Page, worker: str, label: str) -> Locator:
    """Return one cell of it."""
    return row(page, worker).locator(f"td[data-label='{label}']")


class OperatorCase(TestCase):
    """A running demo, and its manager's page."""

    timeout = 240

    async def begin(self) -> tuple[System, Browser]:
        """Start the demo and a browser."""
        browser = await Browser.start(self)
        return await System.demo(self), browser

    async def link(self, system: System) -> str:
        """Return a link that ``tbtwist ui`` prints."""
        status, output = await system.command("ui")
        self.assertEqual(0, status, output)
        return output.strip().splitlines()[-1]

    def come_in(self, browser: Browser, link: str, **context: Any) -> Visitor:
        """Open the page, and wait until it is alive."""
        visitor = browser.visit(link, **context)
        expect(visitor.page.locator("#verdict-text")).to_have_text("5 of 5 run")
        return visitor


class DoorTests(OperatorCase):
    """Getting in."""

    async def test_link(self) -> None:
        """A link lets one browser in, once; it leaves no trace in the address."""
        system, browser = await self.begin()
        link = await self.link(system)

        def scenario() -> None:
            first = self.come_in(browser, link)
            expect(first.page).to_have_url(re.compile(r":\d+/$"))
            self.assertEqual([], first.complaints)
            second = browser.visit(link)
            expect(second.page.get_by_role("heading")).to_have_text(
                "You need a link to get in"
            )
            expect(second.page.locator("#door-why")).to_contain_text("has been used")
            second.screenshot("manager-door")
            first.page.reload()
            expect(first.page.locator("#verdict-text")).to_have_text("5 of 5 run")
            first.page.get_by_role("button", name="Log out").click()
            expect(first.page.locator("#door-why")).to_have_text("You have logged out.")
            first.page.reload()
            expect(first.page.locator("#door")).to_be_visible()

        await browser.run(scenario)

    async def test_from_another_page(self) -> None:
        """A page of the application changes nothing at the manager, cookie or not."""
        system, browser = await self.begin()
        link = await self.link(system)
        (port, *_) = await system.ports("http")
        url = (await system.status())["manager"]["ui_url"]

        def scenario() -> str:
            visitor = self.come_in(browser, link)
            visitor.page.goto(f"http://127.0.0.1:{port}/")
            return str(
                visitor.page.evaluate(
                    """url => fetch(url + "/api/shutdown", {
                        method: "POST", mode: "no-cors", credentials: "include", body: "{}",
                    }).then(() => "sent", () => "refused")""",
                    url,
                )
            )

        await browser.run(scenario)
        self.assertTrue(await system.all_running())
        audit = (system.data_dir / "logs" / "audit.log").read_text()
        self.assertNotIn("stop everything", audit)


class WatchingTests(OperatorCase):
    """Seeing what goes on."""

    async def test_numbers(self) -> None:
        """Under load the numbers move: in the table, the charts and the topology."""
        system, browser = await self.begin()
        link = await self.link(system)
        (port, *_) = await system.ports("http")

        def scenario() -> None:
            visitor = self.come_in(browser, link)
            page = visitor.page
            expect(cell(page, "http-1", "Traffic")).to_have_text("0/s")
            with load(port):
                moving = re.compile(r"^[1-9][\d.]*/s$")
                expect(cell(page, "http-1", "Traffic")).to_have_text(moving)
                chart = page.locator(".chart", has_text="Requests a second")
                expect(chart.locator("b").first).to_have_text(re.compile(r"^[1-9]"))
                latency = page.locator(".chart", has_text="Latency")
                expect(latency.locator("b").first).to_have_text(re.compile(r"\d m?s$"))
                told = re.compile(r"[1-9][\d.]* requests a second to http-1")
                figure = page.locator("#topology svg")
                expect(figure).to_have_attribute("aria-label", told)
                visitor.screenshot("manager-load")
            expect(cell(page, "http-1", "Traffic")).to_have_text("0/s")
            self.assertEqual([], visitor.complaints)

        await browser.run(scenario)

    async def test_why(self) -> None:
        """I read why a killed worker was started again, with its last lines."""
        system, browser = await self.begin()
        link = await self.link(system)
        pid = int((await system.worker("http-2"))["pid"])

        def scenario() -> None:
            visitor = self.come_in(browser, link)
            page = visitor.page
            os.kill(pid, signal.SIGKILL)
            expect(cell(page, "http-2", "Generation")).to_have_text("2")
            expect(page.locator("#verdict-text")).to_have_text("5 of 5 run")
            row(page, "http-2").get_by_role("button", name="Killed by SIGKILL.").click()
            story = page.get_by_role("dialog", name="Why http-2 ended")
            expect(story).to_contain_text("Killed by SIGKILL.")
            expect(story.locator("pre")).to_contain_text("serving http://127.0.0.1:")
            visitor.screenshot("manager-why")
            page.keyboard.press("Escape")
            expect(story).to_be_hidden()
            expect(page.locator("#exits li")).to_have_count(1)
            self.assertEqual([], visitor.complaints)

        await browser.run(scenario)

    async def test_log(self) -> None:
        """The log arrives live, and I find in it what I look for; markup is text."""
        system, browser = await self.begin()
        link = await self.link(system)
        (port, *_) = await system.ports("http")

        def scenario() -> None:
            visitor = self.come_in(browser, link)
            page = visitor.page
            fetch(port, "/api/Chat/needle")
            entry = {"level": "ERROR", "message": "<img src=x>"}
            report = {"logs": [entry]}
            json_type = {"Content_Type": "application/json"}
            fetch(port, "/api/client-logs", "POST", report, **json_type)
            lines = page.locator("#lines .line")
            page.get_by_role("searchbox").fill("needle")
            expect(lines).to_have_count(1)
            expect(lines).to_contain_text("http-1")
            page.get_by_role("searchbox").fill("<img")
            expect(lines).to_have_count(1)
            expect(page.locator("#lines img")).to_have_count(0)
            page.get_by_label("Worker", exact=True).select_option("ws-1")
            expect(page.locator("#lines-none")).to_be_visible()
            page.get_by_role("searchbox").fill("")
            expect(lines).to_contain_text(["serving ws://"])
            self.assertEqual([], visitor.complaints)

        await browser.run(scenario)

    async def test_manager_gone(self) -> None:
        """When the manager has stopped the page says so, and does not pretend."""
        system, browser = await self.begin()
        link = await self.link(system)
        visitors: list[Visitor] = []

        def stop() -> None:
            visitors.append(self.come_in(browser, link))
            page = visitors[0].page
            page.get_by_role("button", name="Stop everything…").click()
            page.get_by_role("button", name="Stop everything", exact=True).click()
            text = "Stopped. Start it again in a terminal."
            expect(page.locator("#verdict-text")).to_have_text(text)

        await browser.run(stop)
        assert system.manager is not None
        self.assertEqual(0, await system.manager.ended)


class ActingTests(OperatorCase):
    """Changing something."""

    async def test_scale(self) -> None:
        """One more with a click, one less after a question."""
        system, browser = await self.begin()
        link = await self.link(system)

        def scenario() -> None:
            visitor = self.come_in(browser, link)
            page = visitor.page
            page.get_by_role("button", name="One http worker more").click()
            expect(row(page, "http-3").locator(".word")).to_have_text("running")
            expect(page.locator("#scale-http")).to_have_text("3")
            expect(page.locator("#activity .action-state")).to_have_text(["done"])
            page.get_by_role("button", name="One http worker less").click()
            dialog = page.get_by_role("dialog", name="Scale http to 2?")
            expect(dialog).to_contain_text("http-3 finishes")
            dialog.get_by_role("button", name="Cancel").click()
            expect(row(page, "http-3")).to_have_count(1)
            page.get_by_role("button", name="One http worker less").click()
            dialog.get_by_role("button", name="Scale to 2").click()
            expect(row(page, "http-3")).to_have_count(0)
            self.assertEqual([], visitor.complaints)

        await browser.run(scenario)
        self.assertEqual(2, len(await system.ports("http")))

    def expect_generations(self, page: Page, generations: dict[str, str]) -> None:
        """Wait until the workers are of these generations."""
        for worker, generation in generations.items():
            expect(cell(page, worker, "Generation")).to_have_text(generation)

    async def test_update(self) -> None:
        """An update shows its plan, then each worker's progress; the audit log has it."""
        system, browser = await self.begin()
        link = await self.link(system)
        workers = ["http-1", "http-2", "ws-1", "ws-2"]

        def scenario() -> None:
            visitor = self.come_in(browser, link)
            page = visitor.page
            page.get_by_role("button", name="Update…").click()
            dialog = page.get_by_role("dialog", name="Update the workers?")
            expect(dialog.locator("#ask-plan li")).to_have_text(
                [f"replace {worker}" for worker in workers]
            )
            visitor.screenshot("manager-update")
            dialog.get_by_role("button", name="Update").click()
            action = page.locator("#activity .action")
            expect(action.locator(".action-what")).to_have_text("update http and ws")
            expect(action.locator(".action-state")).to_have_text("done")
            expect(action.locator(".progress b")).to_have_text(workers)
            self.expect_generations(
                page, {"broker": "1", **dict.fromkeys(workers, "2")}
            )
            expect(page.locator("#announce")).to_contain_text("done")
            visitor.screenshot("manager-updated")

        await browser.run(scenario)
        audit = (system.data_dir / "logs" / "audit.log").read_text().splitlines()
        records = [json.loads(line) for line in audit]
        mine = [r for r in records if r["what"] == "update http and ws"]
        self.assertEqual(["begun", "done"], [r["outcome"] for r in mine])
        self.assertTrue(mine[0]["who"].startswith("browser "))

    async def test_of_the_command_line(self) -> None:
        """What somebody does in a terminal is seen on the page, too."""
        system, browser = await self.begin()
        link = await self.link(system)
        visitors: list[Visitor] = []
        await browser.run(lambda: visitors.append(self.come_in(browser, link)))
        status, output = await system.command("scale", "-t", "ws", "3")
        self.assertEqual(0, status, output)

        def see() -> None:
            page = visitors[0].page
            expect(row(page, "ws-3").locator(".word")).to_have_text("running")
            expect(page.locator("#activity .action-meta")).to_contain_text("by cli")

        await browser.run(see)

    async def test_keyboard(self) -> None:
        """All of it works without a mouse; focus comes back to where it was."""
        system, browser = await self.begin()
        link = await self.link(system)

        def scenario() -> None:
            visitor = self.come_in(browser, link)
            page = visitor.page
            self.press(page, "Tab")
            expect(page.get_by_text("Skip to the workers")).to_be_focused()
            self.press(page, "Enter")
            restart = row(page, "http-1").get_by_role("button", name="Restart http-1")
            self.tab_to(page, restart)
            self.press(page, "Enter")
            dialog = page.get_by_role("dialog", name="Restart http-1?")
            expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
            self.press(page, "Escape")
            expect(restart).to_be_focused()
            self.press(page, "Enter", "Tab", "Enter")
            expect(cell(page, "http-1", "Generation")).to_have_text("2")
            expect(restart).to_be_focused()
            self.assertEqual([], visitor.complaints)

        await browser.run(scenario)

    def press(self, page: Page, *keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            page.keyboard.press(key)

    def tab_to(self, page: Page, target: Locator) -> None:
        """Press Tab until ``target`` has the focus."""
        for _ in range(20):
            page.keyboard.press("Tab")
            if target.evaluate("node => node === document.activeElement"):
                return
        self.fail("it cannot be reached with Tab")


class ScreenTests(OperatorCase):
    """Whatever it is looked at with."""

    async def test_every_screen(self) -> None:
        """It fits a phone as well as a desk, in the light and in the dark, all named."""
        system, browser = await self.begin()
        (port, *_) = await system.ports("http")
        links = [await self.link(system) for _ in range(6)]
        screens = {"desk": (1360, 900), "laptop": (1280, 720), "phone": (360, 740)}

        def scenario() -> None:
            for scheme in ("light", "dark"):
                for screen, (width, height) in screens.items():
                    visitor = self.come_in(
                        browser,
                        links.pop(),
                        viewport={"width": width, "height": height},
                        color_scheme=scheme,
                    )
                    expect(visitor.page.locator(".plot canvas")).to_have_count(5)
                    visitor.screenshot(f"manager-{screen}-{scheme}")
                    across = visitor.page.evaluate(
                        "document.documentElement.scrollWidth"
                    )
                    self.assertLessEqual(across, width)
                    self.assertEqual([], visitor.page.evaluate(OVERFULL))
                    self.assertEqual([], visitor.page.evaluate(NAMELESS))
                    self.assertEqual([], visitor.complaints)

        with load(port):
            await browser.run(scenario)


OVERFULL = """[...document.querySelectorAll(".card")]
  .filter((node) => node.scrollWidth > node.clientWidth)
  .map((node) => `${node.id || node.className}: ${node.scrollWidth}`)"""

NAMELESS = """[...document.querySelectorAll("button, a, input, select, [role=img], section")]
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.textContent.trim() || node.ariaLabel || node.labels?.length
    || node.getAttribute("aria-labelledby")))
  .map((node) => node.outerHTML)"""


class ProgramTests(OperatorCase):
    """Programs instead of people."""

    async def test_totals(self) -> None:
        """What Prometheus reads is exact over restarts and updates, to the request."""
        system = await System.demo(self)
        (port, *_) = await system.ports("http")
        ui = int((await system.status())["manager"]["ui_url"].rpartition(":")[2])
        secret = (system.data_dir / "cluster_secret").read_text()

        def scenario() -> None:
            for _ in range(3):
                for _ in range(20):
                    self.assertEqual(200, fetch(port, HELLO)[0])
                status, body = fetch(
                    ui,
                    "/api/workers/restart",
                    "POST",
                    {"worker_id": "http-1"},
                    X_Cluster_Secret=secret,
                )
                self.assertEqual(200, status, body)
            status, body = fetch(ui, "/metrics", Authorization=f"Bearer {secret}")
            samples = {
                (sample.name, *sorted(sample.labels.values())): sample.value
                for family in text_string_to_metric_families(body.decode())
                for sample in family.samples
            }
            counted = samples["tbtwist_http_requests_total", "2xx", "http-1"]
            self.assertEqual(63, counted)  # each successor probed itself once
            name = "tbtwist_http_request_duration_seconds_count"
            self.assertEqual(63, samples[name, "http-1"])
            self.assertEqual(1, samples["tbtwist_worker_up", "http", "http-1"])

        await system.in_thread(scenario)

    async def test_secret(self) -> None:
        """The secret in the data directory is for its owner; without it, no answer."""
        system = await System.demo(self)
        ui = int((await system.status())["manager"]["ui_url"].rpartition(":")[2])
        mode = (system.data_dir / "cluster_secret").stat().st_mode
        self.assertEqual(0o600, mode & 0o777)

        def scenario() -> list[int]:
            wrong = [
                fetch(ui, "/api/shutdown", "POST", {}, X_Cluster_Secret="wrong")[0]
                for _ in range(6)
            ]
            return [*wrong, fetch(ui, "/api/status")[0]]

        statuses = await system.in_thread(scenario)
        self.assertEqual([403] * 5 + [429, 403], statuses)
        self.assertTrue(await system.all_running())

    async def test_port_taken(self) -> None:
        """If somebody else has the port, the start says so in one sentence."""
        system = await System.demo(self)
        ui = (await system.status())["manager"]["ui_url"].rpartition(":")[2]
        other = System(self, system.root / "other", None)
        other.root.mkdir()
        other.environ.update(TB_HTTP_PORT="0", TB_WS_PORT="0", TB_UI_PORT=ui)
        manager = other.spawn_manager()
        self.assertEqual(1, await manager.ended)
        self.assertIn(
            f"Cannot listen on 127.0.0.1:{ui} for the manager's web UI "
            "(manager.web_ui_port): the port is already in use.",
            manager.output,
        )
