"""Users' own WSGI applications on our server."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import ModuleFailed
from tbtwist.http.mounts import FileWrapper, Mounts
from tbtwist.services import wait_until
from tests.http.flask_shop import application as shop
from tests.http.memory import limited
from tests.http.mounting import PATIENCE_S, Got, MountedCase, form, reactor

MIB = 1024 * 1024


def nothing(environ: Any, start_response: Any) -> list[bytes]:
    """Be an application."""
    start_response("204 No Content", [])
    return []


def other(environ: Any, start_response: Any) -> list[bytes]:
    """Be another one."""
    return nothing(environ, start_response)


def is_api(path: str) -> bool:
    """Say what the API's paths are."""
    return path.startswith("/api")


class TableTests(SynchronousTestCase):
    """Which application a path belongs to."""

    def found(self, *paths: bytes) -> list[object]:
        """Return the applications of paths."""
        mounts = Mounts.of({"/shop": nothing, "/shop/admin/": other}, is_api)
        return [m and m.application for m in map(mounts.find, paths)]

    def test_below(self) -> None:
        """A mount has its path and everything below it."""
        self.assertEqual(self.found(b"/shop", b"/shop/", b"/shop/x/y"), [nothing] * 3)
        self.assertEqual(self.found(b"/", b"/shopping", b"/x/shop"), [None] * 3)

    def test_longest(self) -> None:
        """Of two mounts, the more specific one has the path."""
        self.assertEqual(self.found(b"/shop/admin", b"/shop/admin/x"), [other] * 2)
        self.assertEqual(self.found(b"/shop/administrator"), [nothing])

    def test_encoded(self) -> None:
        """An encoded letter is that letter, an encoded slash separates nothing."""
        self.assertEqual(self.found(b"/%73hop/x", b"/shop%2Fx"), [nothing, None])

    def test_root(self) -> None:
        """An application can have every path that nobody else has."""
        mounts = Mounts.of({"/": other, "/shop": nothing}, is_api)
        apps = [mounts.find(p) for p in (b"/", b"/x", b"/shop/x")]
        self.assertEqual([m and m.application for m in apps], [other, other, nothing])

    def test_refused(self) -> None:
        """A path that cannot be reached is refused when the worker starts."""
        for path, why in (("shop", "begin with /"), ("/api/x", "the API is there")):
            with self.assertRaisesRegex(ModuleFailed, why):
                Mounts.of({path: nothing}, is_api)


class FlaskTests(MountedCase):
    """A Flask application below /shop."""

    def setUp(self) -> None:
        """Serve it."""
        self.serve({"/shop": shop})

    async def test_place(self) -> None:
        """It knows its place: its path is SCRIPT_NAME, the rest PATH_INFO."""
        got = await self.ask("GET", "/shop/")
        self.assertEqual(got.text, "/shop|/|/shop/show/x")
        (location,) = (await self.ask("GET", "/shop")).all("location")
        self.assertTrue(location.endswith("/shop/"), location)

    async def test_request(self) -> None:
        """Path and query arrive decoded, and the client's address is its own."""
        headers = {"X-Forwarded-For": "203.0.113.9", "Proxy": "http://evil.example"}
        target = "/shop/show/a%20b/%C3%BC?q=1%2B1"
        got = await self.ask("GET", target, {**headers, "Host": "shop.example"})
        text = got.text
        self.assertIn('"name":"a b/\\u00fc"', text)
        self.assertIn('"args":{"q":"1+1"}', text)
        self.assertIn('"client":"127.0.0.1"', text)
        self.assertIn('"proxy":null', text)
        self.assertIn('"secure":false', text)

    async def test_others(self) -> None:
        """The API and what is at no mount stay where they are."""
        self.assertEqual((await self.ask("GET", "/api/ping")).status, 200)
        self.assertEqual((await self.ask("GET", "/health")).status, 200)
        self.assertEqual((await self.ask("GET", "/else")).status, 404)

    async def test_stream(self) -> None:
        """What comes in pieces goes out whole."""
        got = await self.ask("GET", "/shop/stream")
        self.assertEqual(got.body, b"0\n1\n2\n3\n4\n")
        self.assertEqual(got.all("content-length"), [])

    async def test_file(self) -> None:
        """A file goes out with its type and whole."""
        got = await self.ask("GET", "/shop/file")
        self.assertEqual(got.all("content-type"), ["application/x-own"])
        self.assertEqual(got.body, b"0123456789" * 30_000)

    async def test_head(self) -> None:
        """HEAD has the headers of GET and no body."""
        got = await self.ask("HEAD", "/shop/file")
        self.assertEqual((got.status, got.body), (200, b""))

    async def test_cookies(self) -> None:
        """Cookies go both ways, several at once."""
        got = await self.ask("GET", "/shop/login?user=Ada")
        self.assertEqual((got.status, got.all("location")), (302, ["/shop/who"]))
        cookies = [c.partition(";")[0] for c in got.all("set-cookie")]
        self.assertEqual(len(cookies), 2)
        who = await self.ask("GET", "/shop/who", {"Cookie": "; ".join(cookies)})
        self.assertEqual(who.text, "Ada dark")

    async def test_error_pages(self) -> None:
        """Its own error pages are the client's answer."""
        self.assertEqual((await self.ask("GET", "/shop/nothing")).status, 404)
        teapot = await self.ask("GET", "/shop/teapot")
        self.assertEqual(teapot.status, 418)
        self.assertIn("teapot", teapot.text)
        crash = await self.ask("GET", "/shop/crash")
        self.assertEqual(crash.status, 500)
        self.assertNotIn("private", crash.text)

    async def test_upload(self) -> None:
        """A form with a file that is larger than an API's body arrives whole."""
        headers, body = form(20 * MIB)
        got = await self.ask("POST", "/shop/upload", headers, body)
        self.assertEqual(got.status, 200)
        self.assertIn(f'"size":{20 * MIB}', got.text)
        self.assertIn('"note":"hi"', got.text)

    async def test_chunked_upload(self) -> None:
        """A body whose length nobody has announced arrives whole."""
        blocks = (b"x" * 70_000 for _ in range(10))
        got = await self.ask("POST", "/shop/raw", {"Content-Type": "x/own"}, blocks)
        self.assertIn('"size":700000', got.text)


class LimitTests(MountedCase):
    """How much a mount takes."""

    async def test_body_limit(self) -> None:
        """A mount has its own limit, and the API keeps its own."""
        config = {"max_body_bytes": 1000, "max_mount_body_bytes": 5000}
        self.serve({"/shop": shop}, limited(**config))

        async def status(path: str, size: int) -> int:
            got = await self.ask("POST", path, {"Content-Type": "x/own"}, b"x" * size)
            return got.status

        self.assertEqual(await status("/shop/raw", 4000), 200)
        self.assertEqual(await status("/shop/raw", 6000), 413)
        self.assertEqual(await status("/api/Open/echo", 2000), 413)
        self.assertEqual(await status("/else", 2000), 413)

    async def test_root_does_not_widen_the_api(self) -> None:
        """An application at / does not raise the limit of the API."""
        config = {"max_body_bytes": 1000, "max_mount_body_bytes": 5000}
        self.serve({"/": shop}, limited(**config))
        got = await self.ask("POST", "/raw", {"Content-Type": "x/own"}, b"x" * 4000)
        self.assertEqual(got.text.strip(), '{"size":4000}')
        got = await self.ask("POST", "/api/Open/echo", {}, b"x" * 2000)
        self.assertEqual(got.status, 413)

    async def test_proxy(self) -> None:
        """Behind a proxy that is trusted, client and scheme are the real ones."""
        self.serve({"/shop": shop}, limited(trusted_proxies=("127.0.0.1",)))
        forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        got = await self.ask("GET", "/shop/show/x", forwarded)
        self.assertIn('"client":"203.0.113.9"', got.text)
        self.assertIn('"secure":true', got.text)


class DjangoTests(MountedCase):
    """A Django project at the root."""

    def setUp(self) -> None:
        """Serve it; Django can be configured but once in a process."""
        from tests.http.django_site import application  # noqa: PLC0415

        self.serve({"/": nothing, "/blog": application})

    async def test_place(self) -> None:
        """It knows its place."""
        self.assertEqual((await self.ask("GET", "/blog/")).text, "/blog|/|/blog/")

    async def test_stream(self) -> None:
        """What comes in pieces goes out whole."""
        got = await self.ask("GET", "/blog/stream")
        self.assertEqual(got.body, b"0\n1\n2\n3\n4\n")

    async def test_file(self) -> None:
        """A file goes out whole."""
        got = await self.ask("GET", "/blog/file")
        self.assertEqual(got.all("content-type"), ["x/own"])
        self.assertEqual(got.body, b"0123456789" * 30_000)

    async def test_upload(self) -> None:
        """A large form arrives whole."""
        headers, body = form(20 * MIB)
        got = await self.ask("POST", "/blog/upload", headers, body)
        expected = '{"name": "a.bin", "size": 20971520, "note": "hi"}'
        self.assertEqual(got.text, expected)

    async def test_cookies(self) -> None:
        """Cookies go both ways, several at once."""
        got = await self.ask("GET", "/blog/cookies", {"Cookie": "b=2; a=1"})
        self.assertEqual(got.text, "a b")
        self.assertEqual(len(got.all("set-cookie")), 2)

    async def test_error_pages(self) -> None:
        """Its own error pages are the client's answer."""
        self.assertEqual((await self.ask("GET", "/blog/nothing")).status, 404)
        crash = await self.ask("GET", "/blog/crash")
        self.assertEqual(crash.status, 500)
        self.assertNotIn("private", crash.text)

    async def test_neighbour(self) -> None:
        """The other mount is there as well."""
        self.assertEqual((await self.ask("GET", "/x")).status, 204)


@attrs.define(eq=False)
class Blocks:
    """A body whose pieces are counted; knows when it was closed."""

    count: int
    block: bytes = b"x" * 65536
    taken: int = 0
    closed: threading.Event = attrs.Factory(threading.Event)
    broken_at: int = -1

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Answer with this body."""
        start_response("200 OK", [("Content-Type", "x/own")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        while self.taken < self.count:
            if self.taken == self.broken_at:
                msg = "in the middle"
                raise RuntimeError(msg)
            self.taken += 1
            yield self.block

    def close(self) -> None:
        """Take note."""
        self.closed.set()


class BackpressureTests(MountedCase):
    """Clients that read slowly, or not at all."""

    async def closed(self, blocks: Blocks) -> None:
        """Come back when an application's body has been closed."""
        self.assertTrue(await wait_until(reactor, blocks.closed.is_set, PATIENCE_S))

    async def test_reader_that_stops(self) -> None:
        """Who does not read is cut; until then, little has been produced for it."""
        blocks = Blocks(count=100_000)  # 6 GiB
        self.serve({"/big": blocks}, limited(write_timeout_s=1.0))
        client = self.connect(receive_bytes=4096)
        client.sendall(b"GET /big/ HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.closed(blocks)
        self.assertLess(blocks.taken * len(blocks.block), 32 * MIB)

    async def test_slow_reader(self) -> None:
        """Who reads slowly gets everything, and little waits for it meanwhile."""
        blocks = Blocks(count=200)
        self.serve({"/big": blocks})
        client = self.connect(receive_bytes=4096)
        client.sendall(b"GET /big/ HTTP/1.0\r\nHost: x\r\n\r\n")

        def read() -> int:
            got = 0
            while data := client.recv(30_000):
                got += len(data)
            return got

        total = await self.in_thread(read)
        self.assertGreater(total, 200 * 65536)
        self.assertLess(total, 200 * 65536 + 1000)
        await self.closed(blocks)

    async def test_client_that_leaves(self) -> None:
        """When the client has left, the application is told and its thread is free."""
        blocks = Blocks(count=100_000)
        self.serve({"/big": blocks}, limited(wsgi_threads=1))
        client = self.connect(receive_bytes=4096)
        client.sendall(b"GET /big/ HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.in_thread(client.recv, 10)
        client.close()
        await self.closed(blocks)
        self.assertLess(blocks.taken, blocks.count)
        self.assertEqual((await self.ask("GET", "/api/ping")).status, 200)

    async def test_one_slow_reader_stops_nobody_else(self) -> None:
        """While one client does not read, others are served."""
        blocks = Blocks(count=100_000)
        self.serve({"/big": blocks, "/shop": shop}, limited(wsgi_threads=2))
        client = self.connect(receive_bytes=4096)
        client.sendall(b"GET /big/ HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.in_thread(client.recv, 10)
        for _ in range(5):
            self.assertEqual((await self.ask("GET", "/shop/stream")).status, 200)
        client.close()
        await self.closed(blocks)


class FailureTests(MountedCase):
    """Applications that do not keep to the rules, or fail."""

    async def test_exception(self) -> None:
        """An application that raises is a plain 500 page."""

        def broken(environ: Any, start_response: Any) -> Iterable[bytes]:
            msg = "private"
            raise RuntimeError(msg)

        self.serve({"/broken": broken})
        got = await self.ask("GET", "/broken/")
        self.assertEqual(got.status, 500)
        self.assertEqual(got.all("content-type"), ["text/html; charset=utf-8"])
        self.assertNotIn(b"private", got.body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_broken_in_the_middle(self) -> None:
        """An answer that breaks off does not look complete, and is closed."""
        blocks = Blocks(count=10, broken_at=3)
        self.serve({"/broken": blocks})
        client = self.connect(receive_bytes=65536)
        client.sendall(b"GET /broken/ HTTP/1.1\r\nHost: x\r\n\r\n")

        def read() -> bytes:
            got = b""
            try:
                while data := client.recv(65536):
                    got += data
            except ConnectionResetError:
                pass
            return got

        got = await self.in_thread(read)
        self.assertFalse(got.endswith(b"0\r\n\r\n"))
        self.assertTrue(blocks.closed.is_set())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_concurrency(self) -> None:
        """As many requests run at once as there are WSGI threads."""
        together = threading.Barrier(4, timeout=PATIENCE_S)

        def meeting(environ: Any, start_response: Any) -> Iterable[bytes]:
            together.wait()
            return nothing(environ, start_response)

        self.serve({"/meet": meeting}, limited(wsgi_threads=4))
        asked: list[Deferred[Got]] = [self.ask("GET", "/meet/") for _ in range(4)]
        answers = await gatherResults(asked)
        self.assertEqual([got.status for got in answers], [204] * 4)

    async def test_write(self) -> None:
        """The old way of answering, ``write``, works."""

        def old(environ: Any, start_response: Any) -> Iterable[bytes]:
            write: Callable[[bytes], None] = start_response("200 OK", [])
            write(b"one ")
            write(b"two")
            return []

        self.serve({"/old": old})
        self.assertEqual((await self.ask("GET", "/old/")).text, "one two")

    async def test_environ(self) -> None:
        """The environ says what the server can do."""
        seen: dict[str, Any] = {}

        def look(environ: Any, start_response: Any) -> Iterable[bytes]:
            seen.update(environ)
            start_response("200 OK", [])
            wrapper: Callable[[io.BytesIO], FileWrapper] = environ["wsgi.file_wrapper"]
            return wrapper(io.BytesIO(b"file"))

        self.serve({"/look": look})
        headers = {"Content-Type": "x/own"}
        got = await self.ask("POST", "/look/a%2Fb?q", headers, b"body")
        self.assertEqual(got.body, b"file")
        self.assertEqual(seen["PATH_INFO"], "/a/b")
        self.assertEqual(seen["QUERY_STRING"], "q")
        self.assertEqual((seen["CONTENT_TYPE"], seen["CONTENT_LENGTH"]), ("x/own", "4"))
        self.assertNotIn("HTTP_CONTENT_LENGTH", seen)
        self.assertTrue(seen["wsgi.multiprocess"])
        self.assertTrue(seen["wsgi.multithread"])


class FileWrapperTests(SynchronousTestCase):
    """``wsgi.file_wrapper`` by itself."""

    def test_blocks(self) -> None:
        """A file comes in blocks, and is closed in the end."""
        file = io.BytesIO(b"0123456789")
        wrapper = FileWrapper(file, 4)
        self.assertEqual(list(wrapper), [b"0123", b"4567", b"89"])
        wrapper.close()
        self.assertTrue(file.closed)

    def test_no_close(self) -> None:
        """What is like a file may have no close."""

        class Readable:
            def read(self, size: int) -> bytes:
                return b""

        wrapper = FileWrapper(Readable())  # type: ignore[arg-type]
        self.assertEqual(list(wrapper), [])
        wrapper.close()
