"""The generated site in a real nginx, in front of real workers."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.request
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import trustme
from twisted.trial.unittest import TestCase
from websockets.sync.client import connect

from tbtwist.nginx.program import Program
from tests.integration.nginx import Nginx, free_ports
from tests.integration.sample import MODULE, TIMEOUT_S, get, post, socket
from tests.integration.system import System, folder
from tests.nginx.sites import text_of

_MORE = """
import asyncio, pathlib
from tbtwist import RequestData

@export(mod_name="Probe", name="ticks", level=0)
async def ticks(kind: str):
    async def generate():
        yield {"n": 1}
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.01)
        yield {"n": 2}
    if kind == "events":
        return Result.sse(generate())
    async def lines():
        async for tick in generate():
            yield f"{tick['n']}\\n"
    return Result.stream(lines(), content_type="text/plain")

@export(mod_name="Probe", name="size", level=0, api_methods=["POST"])
async def size(files):
    return {name: file.size for name, file in files.items()}

@export(mod_name="Probe", name="client", level=0)
async def client(request: RequestData):
    return {name: request.request.headers.get(name) for name in (
        "host", "x_forwarded_for", "x_forwarded_proto", "x_real_ip", "x_request_id")}
"""
_MOUNT = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode(), b" ", environ["PATH_INFO"].encode()]
"""
_CONFIG = """
toolbox:
  modules: [probe]
  wsgi_mounts: {{"/shop": "shop"}}
http_worker: {{port: 0, workers: 2, drain_timeout_s: 3, trusted_proxies: [127.0.0.1]}}
ws_worker: {{port: 0, drain_timeout_s: 2}}
manager: {{web_ui_port: 0}}
nginx:
  server_name: localhost 127.0.0.1
  listen_port: {port}
  static_root: static
"""
_FREE = "  rate_limit_enabled: false\n"
_BOUNDARY = "----tbtwist"


class NginxTestCase(TestCase):
    """A manager with two http workers and one ws worker, and nginx in front."""

    timeout = 180

    async def serve(self, more: str = _FREE, **files: str) -> None:
        """Start the workers, install the site that is made for them, start nginx."""
        self.port, self.tls_port = free_ports(2)
        given = {"probe.py": MODULE + _MORE, "shop.py": _MOUNT, **files}
        text = _CONFIG.format(port=self.port) + more.format(tls_port=self.tls_port)
        self.system = await System.start(self, text, files=given)
        self.root = self.system.root
        (self.root / "static").mkdir()
        (self.root / "static" / "index.html").write_text("<p>the page</p>")
        (self.root / "static" / ".env").write_text("secret")
        self.nginx = Nginx(self, self.root)
        self.system.environ["NGINX_PATH"] = str(self.nginx.program)
        await self.write()
        await self.nginx.start(self.port)

    async def write(self) -> str:
        """Run ``nginx-config --write``, which must succeed."""
        target = str(self.nginx.site)
        status, said = await self.system.command("nginx-config", "--write", target)
        self.assertEqual(0, status, said)
        return said

    def url(self, path: str) -> str:
        """Return an address of nginx."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def ask(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Send a GET through nginx."""
        answer: tuple[int, dict[str, str], str] = await self.system.in_thread(
            get, self.url(path), **headers
        )
        return answer

    async def data(self, path: str, **headers: str) -> Any:
        """Return the data of an API call through nginx."""
        status, _, body = await self.ask(path, **headers)
        self.assertEqual(200, status, body)
        return json.loads(body)["result"]["data"]


class ProxyTests(NginxTestCase):
    """What goes through."""

    async def test_api(self) -> None:
        """Calls reach both workers, which learn who asks, under which name and id."""
        await self.serve()
        found = [await self.data("/api/Probe/who") for _ in range(20)]
        self.assertEqual(2, len({each["pid"] for each in found}))
        told = await self.data("/api/Probe/client", **{"X-Request-ID": "my-id"})
        self.assertEqual(
            {
                "host": f"127.0.0.1:{self.port}",
                "x_forwarded_for": "127.0.0.1",
                "x_forwarded_proto": "http",
                "x_real_ip": "127.0.0.1",
                "x_request_id": "my-id",
            },
            told,
        )
        status, headers, _ = await self.ask("/api/Probe/who", **{"X-Request-ID": "a b"})
        self.assertRegex(headers["X-Request-ID"], "^[0-9a-f]{32}$")
        self.assertEqual("nosniff", headers["X-Content-Type-Options"])
        for path, expected in {"/metrics": 404, "/ready": 404, "/health": 200}.items():
            status, _, _ = await self.ask(path)
            self.assertEqual(expected, status, path)

    async def test_streams(self) -> None:
        """Events and other streams come as they are sent, not when they have ended."""
        await self.serve()
        for kind, first in {"events": b'"n"', "text": b"1\n"}.items():
            await self.system.in_thread(self._read_a_stream, kind, first)

    def _read_a_stream(self, kind: str, first: bytes) -> None:
        go = self.root / "go"
        go.unlink(missing_ok=True)
        address = self.url(f"/api/Probe/ticks?kind={kind}")
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
            while first not in answer.readline():
                pass
            go.touch()  # the rest is made only now
            self.assertIn(b"2", answer.read())

    async def test_websocket(self) -> None:
        """WebSockets are upgraded; text and binary messages go both ways."""
        await self.serve()
        await self.system.in_thread(self._talk)

    def _talk(self) -> None:
        with socket(self.port, "/ws/Probe/room?x=1") as talk:
            self.assertEqual("connected", talk.hear()["type"])
            self.assertEqual("hello", talk.hear()["type"])
            for n in range(20):
                talk.say(n=n)
                self.assertEqual(n, talk.hear()["n"])
            talk.connection.send(bytes(range(256)) * 256)
            self.assertEqual(bytes(range(255, -1, -1)) * 256, talk.connection.recv())

    async def test_uploads(self) -> None:
        """A large upload arrives whole; one beyond the worker's limit is 413 in JSON."""
        await self.serve()
        status, _, body = await self._upload(12 * 1024 * 1024)
        self.assertEqual(200, status, body)
        found = json.loads(body)["result"]["data"]
        self.assertEqual({"file": 12 * 1024 * 1024}, found)
        status, headers, body = await self._upload(17 * 1024 * 1024)
        self.assertEqual((413, "application/json"), (status, headers["Content-Type"]))
        self.assertEqual("PayloadTooLarge", json.loads(body)["error"])

    async def _upload(self, size: int) -> tuple[int, dict[str, str], str]:
        head = (
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
            'name="file"; filename="a.bin"\r\n\r\n'
        )
        body = head.encode() + bytes(size) + f"\r\n--{_BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        answer: tuple[int, dict[str, str], str] = await self.system.in_thread(
            post, self.url("/api/Probe/size"), body, **kind
        )
        return answer

    async def test_files_and_mounts(self) -> None:
        """Nginx serves the site's files; applications have their paths."""
        await self.serve()
        for path in ("/", "/some/page/of/the/app"):
            status, headers, body = await self.ask(path)
            self.assertEqual((200, "<p>the page</p>"), (status, body))
            self.assertEqual("no-cache", headers["Cache-Control"])
            self.assertEqual("SAMEORIGIN", headers["X-Frame-Options"])
        self.assertEqual(404, (await self.ask("/.env"))[0])
        self.assertEqual("/shop /cart", (await self.ask("/shop/cart"))[2])

    async def test_killed_worker(self) -> None:
        """One of two http workers is killed, again and again: no GET fails."""
        await self.serve()
        statuses: list[int] = []
        for _ in range(3):
            under_way = [
                self.system.in_thread(get, self.url("/api/Probe/slow?seconds=0.5"))
                for _ in range(4)
            ]
            await self.system.kill("http-1")
            statuses += [(await each)[0] for each in under_way]
            statuses += [(await self.ask("/api/Probe/who"))[0] for _ in range(40)]
            await self.system.until(self.system.all_running)
        self.assertEqual({200}, set(statuses))

    async def test_update(self) -> None:
        """During an update no GET and no POST fails, on connections that stay open."""
        await self.serve()
        updated = threading.Event()
        load = [
            self.system.in_thread(self._keep_asking, method, updated)
            for method in ("GET", "POST", "POST")
        ]
        try:
            status, said = await self.system.command("update")
        finally:
            updated.set()
        self.assertEqual(0, status, said)
        statuses, pids = zip(*[await each for each in load], strict=True)
        self.assertEqual({200}, set().union(*statuses))
        self.assertEqual(4, len(set().union(*pids)))

    def _keep_asking(
        self, method: str, until: threading.Event
    ) -> tuple[set[int], set[int]]:
        statuses: set[int] = set()
        pids: set[int] = set()
        body = b'{"value": 1}' if method == "POST" else None
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        with closing(connection):
            while not until.is_set() or len(pids) < 2:
                kind = {"Content-Type": "application/json"}
                connection.request(method, "/api/Probe/who", body, kind)
                answer = connection.getresponse()
                statuses.add(answer.status)
                pids.add(json.loads(answer.read())["result"]["data"]["pid"])
        return statuses, pids

    async def test_rate_limit(self) -> None:
        """Who asks too often hears so, in JSON."""
        await self.serve("  rate_limit_rate: 1r/m\n  rate_limit_burst: 0\n")
        self.assertEqual(200, (await self.ask("/api/Probe/who"))[0])
        status, headers, body = await self.ask("/api/Probe/who")
        self.assertEqual((429, "application/json"), (status, headers["Content-Type"]))
        self.assertEqual("TooManyRequests", json.loads(body)["error"])


class TlsTests(NginxTestCase):
    """HTTPS."""

    async def test_https(self) -> None:
        """HTTP is sent to HTTPS; API and WebSockets work there, and know it."""
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        more = (
            "  ssl_enabled: true\n  listen_ssl_port: {tls_port}\n"
            "  ssl_certificate: site.pem\n  ssl_certificate_key: site.key\n"
        )
        await self.serve(
            _FREE + more,
            **{
                "site.pem": certificate.cert_chain_pems[0].bytes().decode(),
                "site.key": certificate.private_key_pem.bytes().decode(),
            },
        )
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
        await self.system.in_thread(self._visit)

    def _visit(self) -> None:
        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_: Any) -> None:
                return None

        opener = urllib.request.build_opener(Stay)
        try:
            opener.open(self.url("/api/Probe/client?a=b"))
        except urllib.error.HTTPError as error:
            self.assertEqual(308, error.code)
            location = error.headers["Location"]
            error.close()
        else:
            self.fail("HTTP was served")
        self.assertEqual(f"127.0.0.1:{self.tls_port}", urlsplit(location).netloc)
        here = f"localhost:{self.tls_port}"
        with urllib.request.urlopen(
            f"https://{here}/api/Probe/client", context=self.context
        ) as answer:
            told = json.load(answer)["result"]["data"]
            self.assertEqual(("https", here), (told["x_forwarded_proto"], told["host"]))
            self.assertIn("max-age=", answer.headers["Strict-Transport-Security"])
        address = f"wss://{here}/ws/Probe/room"
        with connect(address, ssl=self.context) as connection:
            first = json.loads(connection.recv(TIMEOUT_S))
            self.assertEqual("connected", first["type"])


class OperationTests(NginxTestCase):
    """``nginx-config --write`` and ``nginx-reload`` on an nginx that runs."""

    async def test_reload(self) -> None:
        """A changed configuration counts after ``nginx-reload``, a wrong one never."""
        await self.serve()
        good = self.nginx.site.read_text()
        self._configure(
            "  ssl_enabled: true\n  ssl_certificate: no.pem\n  ssl_certificate_key: no.key\n"
        )
        target = str(self.nginx.site)
        status, said = await self.system.command("nginx-config", "--write", target)
        self.assertEqual(1, status, said)
        self.assertIn("no.pem", said)
        self.assertEqual(good, self.nginx.site.read_text())
        self._configure("  rate_limit_rate: 1r/m\n  rate_limit_burst: 0\n")
        before = self.nginx.workers()
        self.assertIn("tbtwist nginx-reload", await self.write())
        status, said = await self.system.command("nginx-reload")
        self.assertEqual(0, status, said)
        await self.nginx.until_reloaded(before)
        self.assertEqual(200, (await self.ask("/api/Probe/who"))[0])
        self.assertEqual(429, (await self.ask("/api/Probe/who"))[0])

    def _configure(self, more: str) -> None:
        text = _CONFIG.format(port=self.port) + more
        (self.root / "config.yaml").write_text(text)

    async def test_by_pid_file(self) -> None:
        """With ``nginx.pid_file`` it gets a signal; without nginx that is told."""
        await self.serve(_FREE + "  pid_file: nginx/nginx.pid\n")
        before = self.nginx.workers()
        status, said = await self.system.command("nginx-reload")
        self.assertEqual(0, status, said)
        await self.nginx.until_reloaded(before)
        await self.nginx.stop()
        status, said = await self.system.command("nginx-reload")
        self.assertEqual((1, "nginx is not running"), (status, said[:20]))


class SyntaxTests(TestCase):
    """Every shape of the site passes Debian's own ``nginx -t``."""

    def test_shapes(self) -> None:
        """With and without each part; the sample as well."""
        root = folder(self)
        nginx = Nginx(self, root)
        authority = trustme.CA()
        pem = authority.issue_cert("localhost").private_key_and_cert_chain_pem
        pem.write_to_path(root / "site.pem")
        tls = {
            "nginx.ssl_enabled": True,
            "nginx.ssl_certificate": str(root / "site.pem"),
            "nginx.ssl_certificate_key": str(root / "site.pem"),
        }
        listen = dict(
            zip(
                ("nginx.listen_port", "nginx.listen_ssl_port"),
                free_ports(2),
                strict=True,
            )
        )
        shapes: tuple[dict[str, object], ...] = (
            {},
            {"nginx.rate_limit_burst": 0, "nginx.auth_rate_limit_burst": 0},
            {"nginx.rate_limit_enabled": False, "toolbox.wsgi_mounts": {"/": "x"}},
            {
                "nginx.static_root": f"{root}/a b",
                "toolbox.wsgi_mounts": {"/": "x", "/y/z": "x"},
            },
            {**tls, "nginx.static_root": str(root), "nginx.access_log": f"{root}/log"},
            {**tls, "nginx.access_log": "off", "nginx.error_log": f"{root}/errors"},
            {
                "nginx.trusted_proxies": ("10.0.0.0/8", "::1"),
                "nginx.server_name": "_ *.a.b",
            },
            {"toolbox.api_prefix": "/v1/api", "toolbox.auth_module": "My.Auth"},
        )
        for shape in shapes:
            nginx.site.write_text(text_of({**listen, **shape}))
            self._check(nginx)

    def _check(self, nginx: Nginx) -> None:
        files = Program(str(nginx.program)).check()
        self.assertIn(str(nginx.site), files)
