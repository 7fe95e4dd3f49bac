"""A real browser for tests: Debian's Chromium, driven by Playwright.

Playwright's synchronous objects live in one thread, so a test hands whole
functions over to `Browser.run`; what they raise fails the test.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import (
    Browser as Chromium,
    Page,
    Playwright,
    expect,
    sync_playwright,
)
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.integration.system import needs, threads

T = TypeVar("T")

ARGUMENTS = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000


class Browser:
    """A browser that is closed at the end of the test; make it with `start`."""

    def __init__(self, case: TestCase) -> None:
        self._thread = threads(case, 1)
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        case.addCleanup(lambda: self.run(self._close))

    @classmethod
    async def start(cls, case: TestCase) -> Browser:
        """Start Chromium; skip the test where there is none."""
        executable = needs("chromium")
        browser = cls(case)
        await browser.run(browser._open, executable)
        return browser

    def run(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """Run ``function`` in the browser's own thread."""
        return self._thread(function, *args)

    def visit(self, url: str, **context: Any) -> Visitor:
        """Open ``url`` for somebody with cookies of their own; within `run`.

        ``context`` is Playwright's, as in ``color_scheme="dark"``.
        """
        return Visitor(self.page(**context), url)

    def page(self, **context: Any) -> Page:
        """Return an empty page of somebody with cookies of their own; within `run`."""
        assert self._chromium is not None
        page = self._chromium.new_context(**context).new_page()
        page.set_default_timeout(PATIENCE_MS)
        return page

    def _open(self, executable: str) -> None:
        expect.set_options(timeout=PATIENCE_MS)
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(
            executable_path=executable, args=list(ARGUMENTS)
        )

    def _close(self) -> None:
        if self._chromium is not None:
            self._chromium.close()
        if self._playwright is not None:
            self._playwright.stop()


class Visitor:
    """Somebody in front of the chat; every method within `Browser.run`.

    ``complaints`` is what the page wrote into its console and should not have.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def give_name(self, name: str) -> None:
        """Fill in the door's form."""
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_role("button", name="Come in", exact=True).click()

    def come_in(self, name: str) -> None:
        """Log in, and wait for the room."""
        self.give_name(name)
        self.wait_for_room()
        self.wait_to_be_seen()

    def come_in_as_guest(self) -> str:
        """Come in without a name; return what people are called then."""
        self.page.get_by_role("button", name="Come in without a name").click()
        self.wait_for_room()
        self.wait_to_be_seen()
        expect(self.page.locator("#who-name")).to_have_text(re.compile("guest-"))
        return self.name

    def wait_for_room(self) -> None:
        """Wait until the socket is there."""
        expect(self.page.locator("#state-text")).to_have_text("Connected")

    def wait_to_be_seen(self) -> None:
        """Wait until the room has let one in: only then does one hear everything."""
        expect(self.page.locator("#people .name")).not_to_have_count(0)

    @property
    def name(self) -> str:
        """Return the name that the page shows as mine."""
        return self.page.locator("#who-name").inner_text()

    def say(self, text: str) -> None:
        """Type, and press Enter."""
        self.page.get_by_label("Message to the room").fill(text)
        self.page.keyboard.press("Enter")

    def hears(self, *texts: str) -> None:
        """Check that exactly these messages are in the log, each once, delivered."""
        expect(self.page.locator(".message .text")).to_have_text(list(texts))
        expect(self.page.locator(".message.pending, .message.failed")).to_have_count(0)

    def sees(self, *names: str) -> None:
        """Check that exactly these people are in the side panel."""
        expect(self.page.locator("#people .name")).to_have_text(list(names))

    def screenshot(self, name: str) -> None:
        """Keep a picture in ``TB_SCREENSHOT_DIR``, if that is set."""
        folder = os.environ.get("TB_SCREENSHOT_DIR")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(
                path=Path(folder) / f"{name}.png", animations="disabled"
            )
