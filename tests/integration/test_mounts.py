"""Mounted WSGI applications and other applications in real workers."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import TestCase

from tbtwist.services import wait_until
from tests.integration.sample import get
from tests.integration.system import (
    PATIENCE_S,
    TWISTD,
    Child,
    environment,
    folder,
    reactor,
    spawn,
    threads,
)

CONFIG = """
http_worker: {port: 0, workers: 1}
ws_worker: {port: 0}
toolbox:
  app: "shop:make"
  wsgi_mounts: {"/pages": "pages.wsgi:application"}
  open_modules: [Shop]
"""
SHOP = """
from tbtwist import App

def make():
    app = App()

    @app.tb(mod_name="Shop", name="buy")
    def buy(item: str) -> str:
        return f"a {item}"

    return app
"""
PAGES = """
from flask import Flask, request

application = Flask(__name__)

@application.get("/<name>")
def page(name):
    return f"{request.script_root}: {name}"
"""


class MountTests(TestCase):
    """A folder with a factory and a Flask application."""

    timeout = 120

    def setUp(self) -> None:
        """Write them down."""
        self.root = folder(self)
        self.in_thread = threads(self)
        self.write("config.yaml", CONFIG)
        self.write("shop.py", SHOP)
        self.write("pages/__init__.py", "")
        self.write("pages/wsgi.py", PAGES)

    def write(self, name: str, text: str) -> None:
        """Write a file of the application."""
        path: Path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    async def start(self, words: str) -> Child:
        """Start everything in one process, and wait until it says something."""
        arguments = (*TWISTD, "-n", "tbworkers", "--role=all")
        child = spawn(self, arguments, environment(self.root / "d"), cwd=self.root)
        await wait_until(
            reactor,
            lambda: words in child.output or child.status is not None,
            PATIENCE_S,
        )
        self.assertIn(words, child.output)
        return child

    async def test_side_by_side(self) -> None:
        """The factory's functions and the mounted pages are served by one worker."""
        child = await self.start("serving")
        found = re.search(r"serving http://127\.0\.0\.1:(\d+)", child.output)
        assert found is not None, child.output
        base = f"http://127.0.0.1:{found[1]}"
        status, _, body = await self.in_thread(get, f"{base}/pages/about")
        self.assertEqual((200, "/pages: about"), (status, body))
        status, _, body = await self.in_thread(get, f"{base}/api/Shop/buy?item=cup")
        self.assertEqual(200, status)
        self.assertIn('"a cup"', body)
        child.signal("TERM")
        self.assertEqual(0, await child.ended, child.output)

    async def test_unusable(self) -> None:
        """A mount that cannot be loaded is one sentence, and status 1."""
        self.write("pages/wsgi.py", "application = 7\n")
        child = await self.start("cannot be called")
        self.assertEqual(1, await child.ended)
        self.assertNotIn("Traceback", child.output)
