"""The chat's page as files: what can be promised without a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.demo import chat

STATIC = Path(chat.__file__).parent / "static"
_FOREIGN = re.compile(r"(?:https?:)?//[\w.-]+\.\w+|url\(|@import")


class Page(HTMLParser):
    """Keeps the page's elements, and the text inside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Keep what would run from within the page."""
        if self.lasttag in {"script", "style"}:
            self.inline += data.strip()

    def values(self, attribute: str) -> list[str]:
        """Return every value of an attribute."""
        return [a[attribute] for _, a in self.elements if attribute in a]


class PageTests(SynchronousTestCase):
    """``index.html`` and what belongs to it."""

    def setUp(self) -> None:
        """Read everything."""
        self.page = Page((STATIC / "index.html").read_text("utf-8"))
        self.scripts = {f.name: f.read_text("utf-8") for f in STATIC.glob("*.js")}

    def test_nothing_inline(self) -> None:
        """The page works under the strictest content security policy."""
        self.assertEqual("", self.page.inline)
        for tag, attributes in self.page.elements:
            self.assertNotIn("style", attributes, tag)
            handlers = [name for name in attributes if name.startswith("on")]
            self.assertEqual([], handlers, tag)

    def test_offline(self) -> None:
        """The page needs nothing from anywhere else: it works without the internet."""
        for path in STATIC.iterdir():
            text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            self.assertEqual([], _FOREIGN.findall(text), path.name)

    def test_complete(self) -> None:
        """Every file that the page or a script asks for is there."""
        wanted = {*self.page.values("src"), *self.page.values("href")}
        for text in self.scripts.values():
            wanted |= set(re.findall(r'from "\./([\w.]+)"', text))
        files = {name for name in wanted if not name.startswith("#")}
        self.assertIn("chat.js", files)
        self.assertEqual(set(), files - {path.name for path in STATIC.iterdir()})

    def test_scripts_find_their_elements(self) -> None:
        """No script looks for something that the page does not have."""
        ids = self.page.values("id")
        self.assertEqual(len(ids), len(set(ids)), "an id twice")
        for name, text in self.scripts.items():
            wanted = set(re.findall(r'(?:byId|stamp)\("([\w-]+)"\)', text))
            self.assertEqual(set(), wanted - set(ids), name)

    def test_references_within(self) -> None:
        """Labels, descriptions and jumps lead to something that is there."""
        ids = set(self.page.values("id"))
        for attribute in (
            "for",
            "aria-labelledby",
            "aria-describedby",
            "aria-controls",
        ):
            self.assertEqual(set(), set(self.page.values(attribute)) - ids, attribute)
        jumps = {h[1:] for h in self.page.values("href") if h.startswith("#")}
        self.assertEqual(set(), jumps - ids)

    def test_never_as_markup(self) -> None:
        """What somebody says can never become part of the page's markup."""
        for name, text in self.scripts.items():
            self.assertNotRegex(
                text, r"innerHTML|outerHTML|insertAdjacent|write\(", name
            )
            self.assertNotRegex(text, r"\beval\b|new Function", name)

    def test_icon(self) -> None:
        """The icon is a picture that browsers can draw."""
        root = ET.fromstring((STATIC / "favicon.svg").read_text("utf-8"))  # noqa: S314 - ours
        self.assertTrue(root.tag.endswith("svg"))
