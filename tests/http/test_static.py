"""Static files: the right ones, as browsers want them, and no others."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import HttpWorker, Settings
from tests.http.memory import MemoryServer, Reply, request_bytes


class StaticTestCase(SynchronousTestCase):
    """A server with a folder."""

    def setUp(self) -> None:
        """Fill the folder, and put a secret beside it."""
        outside = Path(self.mktemp()).absolute()
        self.root = outside / "root"
        (self.root / "docs").mkdir(parents=True)
        (self.root / "empty").mkdir()
        (outside / "secret.txt").write_text("secret")
        (outside / "root2").mkdir()
        (outside / "root2" / "secret.txt").write_text("secret")
        (self.root / "index.html").write_text("<p>home")
        (self.root / "docs" / "index.html").write_text("<p>docs")
        (self.root / "app.js").write_text("let a")
        (self.root / "data.bin").write_bytes(bytes(range(100)))
        (self.root / "ä b.txt").write_text("umlaut")
        (self.root / ".env").write_text("secret")
        (self.root / ".git").mkdir()
        (self.root / ".git" / "config").write_text("secret")
        (self.root / "link.txt").symlink_to("../secret.txt")
        (self.root / "way").symlink_to("..")
        (self.root / "near").symlink_to("../root2")
        (self.root / "inner.js").symlink_to("app.js")
        os.mkfifo(self.root / "pipe")
        http_worker = HttpWorker(static_root=str(self.root))
        self.server = MemoryServer(Settings(http_worker=http_worker))

    def get(self, target: str, **headers: str) -> Reply:
        """GET a file; the server gets time to read it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", target, named)

    def ask(self, method: str, target: str, headers: dict[str, str]) -> Reply:
        """Ask for a file."""
        connection = self.server.connect()
        connection.send(request_bytes(method, target, headers))
        self.server.reactor.pump([0.01] * 10)
        (reply,) = connection.replies(head_only=method == "HEAD")
        return reply


class ServingTests(StaticTestCase):
    """What is served."""

    def test_index(self) -> None:
        """Folders have index pages."""
        for target, text in (("/", b"<p>home"), ("/docs/", b"<p>docs")):
            reply = self.get(target)
            self.assertEqual((reply.status, reply.body), (200, text))
            kind = reply.header("Content-Type")
            self.assertEqual(kind, "text/html; charset=utf-8")

    def test_types(self) -> None:
        """Scripts, data and names in any script have their types."""
        self.assertEqual(
            self.get("/app.js").header("Content-Type"), "text/javascript; charset=utf-8"
        )
        kind = self.get("/data.bin").header("Content-Type")
        self.assertEqual(kind, "application/octet-stream")
        self.assertEqual(self.get("/%C3%A4%20b.txt").body, b"umlaut")

    def test_slash(self) -> None:
        """A folder without its slash is a redirect that any proxy leaves right."""
        reply = self.get("/docs", Host="evil.example")
        self.assertEqual((reply.status, reply.header("Location")), (301, "./docs/"))

    def test_range(self) -> None:
        """A part of a file can be asked for."""
        reply = self.get("/data.bin", Range="bytes=10-19")
        self.assertEqual((reply.status, reply.body), (206, bytes(range(10, 20))))
        self.assertEqual(reply.header("Content-Range"), "bytes 10-19/100")
        self.assertEqual(self.get("/data.bin", Range="bytes=500-").status, 416)

    def test_conditions(self) -> None:
        """What a browser has already is not sent again."""
        first = self.get("/app.js")
        tag, changed = first.header("ETag") or "", first.header("Last-Modified") or ""
        self.assertEqual(self.get("/app.js", If_None_Match=tag).status, 304)
        self.assertEqual(self.get("/app.js", If_Modified_Since=changed).status, 304)
        (self.root / "app.js").write_text("let another")
        self.assertEqual(self.get("/app.js", If_None_Match=tag).status, 200)

    def test_head(self) -> None:
        """HEAD tells the length without the file."""
        reply = self.ask("HEAD", "/data.bin", {})
        self.assertEqual((reply.status, reply.header("Content-Length")), (200, "100"))

    def test_links_inside(self) -> None:
        """A link to a file in the same folder works."""
        self.assertEqual(self.get("/inner.js").body, b"let a")

    def test_api_first(self) -> None:
        """The API is the API, whatever the folder has; failures there are JSON."""
        (self.root / "api").mkdir()
        (self.root / "api" / "x").write_text("file")
        reply = self.get("/api/x")
        self.assertEqual((reply.status, reply.json["error"]), (400, "BadRequest"))
        self.assertEqual(self.get("/health").json["status"], "healthy")


class RefusingTests(StaticTestCase):
    """What is not served."""

    def test_not_found(self) -> None:
        """Everything that is not a plain file below the root is one small page."""
        for target in (
            "/nothing",
            "/empty/",
            "/index.html/x",
            "/.env",
            "/.git/config",
            "/docs/../.env",
            "/../secret.txt",
            "/..%2fsecret.txt",
            "/%2e%2e/secret.txt",
            "/docs/%2e%2e%2f%2e%2e%2fsecret.txt",
            "//etc/passwd",
            "/link.txt",
            "/way/secret.txt",
            "/near/secret.txt",
            "/pipe",
            "/app.js%00.html",
            "/%FF",
        ):
            reply = self.get(target)
            self.assertEqual(reply.status, 404, target)
            self.assertIn(b"There is nothing at this address", reply.body)
            self.assertNotIn(b"secret", reply.body)

    def test_no_page_repeats_what_was_asked(self) -> None:
        """Nothing of the address appears in the page."""
        self.assertNotIn(b"script", self.get("/<script>alert(1)</script>").body)

    def test_methods(self) -> None:
        """Files can only be read."""
        self.assertEqual(self.ask("BREW", "/app.js", {}).status, 501)
        for method in ("POST", "PUT", "DELETE"):
            reply = self.ask(method, "/app.js", {})
            self.assertEqual((reply.status, reply.header("Allow")), (405, "GET, HEAD"))

    @given(
        st.lists(
            st.sampled_from(
                ["..", "%2e%2e", "way", "near", "docs", ".", "", "secret.txt", "root"]
            ),
            max_size=5,
        )
    )
    def test_no_way_out(self, segments: list[str]) -> None:
        """No path leads to a file outside of the folder."""
        reply = self.get("/" + "/".join(segments))
        self.assertNotIn(b"secret", reply.body)

    def test_without_a_folder(self) -> None:
        """Without static_root there is nothing but the API."""
        reply = MemoryServer().ask("GET", "/")
        self.assertEqual(reply.status, 404)
        self.assertIn("text/html", reply.header("Content-Type") or "")
