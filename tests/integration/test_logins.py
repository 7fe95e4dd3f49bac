"""A login elsewhere ends here, in a real browser."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import TestCase

from tests.integration.browser import Browser
from tests.integration.sample import config
from tests.integration.system import System

MODULE = """
from tbtwist import Result, export

@export(mod_name="CloudM.Auth", name="verify_magic_link")
async def verify_magic_link(token: str):
    if token != "fresh":
        return Result.default_user_error("Invalid or expired link")
    tokens = {"access_token": "aaa.bbb", "refresh_token": "ccc"}
    return {"user_id": "u1", "username": "Ada </script>", "level": 1, **tokens}
"""
SITE = "<!doctype html><title>Frontend</title><p id=here>Frontend"
CONFIG = config(1, 1).replace("modules: [probe]", "modules: [accounts]")


class LoginTests(TestCase):
    """A person who follows a link in a mail."""

    timeout = 180

    async def start(self) -> str:
        """Start a system whose frontend is one page; return its address."""
        text = CONFIG.replace("  port: 0", "  port: 0\n  static_root: site", 1)
        system = await System.start(self, text, files={"accounts.py": MODULE})
        page = system.root / "site" / "web" / "assets" / "login.html"
        page.parent.mkdir(parents=True)
        page.write_text(SITE)
        (system.root / "site" / "favicon.ico").touch()
        [port] = await system.ports("http")
        return f"http://127.0.0.1:{port}"

    async def test_magic_link(self) -> None:
        """They end at the frontend, logged in, with what it looks for; no script fails."""
        browser = await Browser.start(self)
        home = await self.start()

        def scenario() -> None:
            person = browser.visit(f"{home}/auth/magic/verify?token=fresh")
            person.page.locator("#here").wait_for()
            login = f"{home}/web/assets/login.html#token=aaa.bbb&refresh_token=ccc&"
            self.assertTrue(person.page.url.startswith(login), person.page.url)
            stored = person.page.evaluate("localStorage.getItem('tbjs_user_session')")
            told: dict[str, Any] = json.loads(stored)
            self.assertEqual("aaa.bbb", told["token"])
            self.assertEqual("Ada </script>", told["username"])
            valid = person.page.evaluate("fetch('/IsValidSession').then(a => a.status)")
            self.assertEqual((200, []), (valid, person.complaints))

        await browser.run(scenario)

    async def test_old_link(self) -> None:
        """They are taken to the login, which can tell them why, and are nobody."""
        browser = await Browser.start(self)
        home = await self.start()

        def scenario() -> None:
            person = browser.visit(f"{home}/auth/magic/verify?token=old")
            person.page.locator("#here").wait_for()
            login = f"{home}/web/assets/login.html?error=Invalid%20or%20expired%20link"
            self.assertEqual((login, []), (person.page.url, person.complaints))
            self.assertEqual([], person.page.context.cookies())

        await browser.run(scenario)
