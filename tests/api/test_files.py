"""Functions that get files, and what becomes of these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
from hypothesis import given, settings as run_with, strategies as st

from tbtwist.api.request import Request
from tbtwist.api.response import Response
from tbtwist.apps.request import RequestData
from tbtwist.apps.result import Result
from tbtwist.apps.uploads import UploadedFile
from tests.api.answering import read, run, until
from tests.api.core import OPEN, CoreTestCase
from tests.api.test_bodies import FORM_DATA, Part, form

BIG = b"x" * 70_000


class FilesTestCase(CoreTestCase):
    """Uploads to functions; the data directory is the test's own."""

    def setUp(self) -> None:
        """Make the core with a place for uploads."""
        super().setUp()
        self.data_dir = Path(self.mktemp()).absolute()
        self.core = self.core_with(
            msgspec.structs.replace(OPEN, data_dir=str(self.data_dir))
        )
        self.addCleanup(self.core.dispatcher.uploads.close)

    def upload(self, path: str, *parts: Part) -> Any:
        """POST a form."""
        headers = {"content-type": FORM_DATA}
        return self.core.ask("POST", path, headers=headers, body=form(*parts))

    def on_disk(self) -> list[Path]:
        """Return the uploads on disk."""
        return list(self.data_dir.glob("uploads/*/*"))


class ArgumentTests(FilesTestCase):
    """The keyword ``files``, and ``request.files``."""

    def test_files(self) -> None:
        """A function that takes files gets them by field, several as a list."""

        @self.app.tb(mod_name="Open", name="take")
        async def take(files: dict[str, Any], title: str) -> dict[str, Any]:
            both = files["both"]
            return {
                "title": title,
                "one": files["one"].read().decode(),
                "both": [file.filename for file in both],
                "sizes": [file.size for file in both],
            }

        answer = self.upload(
            "/api/Open/take?title=query",
            Part("one", b"1", "one.txt"),
            Part("both", b"2", "2.txt"),
            Part("both", BIG, "3.txt"),
            Part("title", b"form"),
        )
        self.assertEqual(
            answer.data,
            {
                "title": "form",
                "one": "1",
                "both": ["2.txt", "3.txt"],
                "sizes": [1, len(BIG)],
            },
        )

    def test_annotated(self) -> None:
        """Files survive an annotation that says what they are."""

        @self.app.tb(mod_name="Open", name="typed")
        async def typed(files: dict[str, UploadedFile]) -> str:
            return files["f"].filename

        self.assertEqual(self.upload("/api/Open/typed", Part("f", b"", "a")).data, "a")

    def test_request(self) -> None:
        """The request has the files, the form and the client's address."""

        @self.app.tb(mod_name="Open", name="look")
        async def look(request: RequestData) -> list[Any]:
            file = request.files["f"]
            assert isinstance(file, UploadedFile)
            return [file.size, request.form_data, request.client_ip, request.body]

        parts = (Part("f", b"123", "a"), Part("x", b"y"))
        answer = self.upload("/api/Open/look", *parts)
        self.assertEqual(answer.data, [3, {"x": "y"}, "192.0.2.7", None])

    def test_raw(self) -> None:
        """A body of a type that we do not know reaches the function as it is."""

        @self.app.tb(mod_name="Open", name="raw")
        async def raw(request: RequestData) -> list[Any]:
            return [request.raw_body.hex(), request.body]

        headers = {"content-type": "application/x-own"}
        answer = self.core.ask("POST", "/api/Open/raw", headers=headers, body=b"a\xff")
        self.assertEqual(answer.data, ["61ff", "a\ufffd"])

    def test_nobody_wants_them(self) -> None:
        """A function that takes no files is called without them."""
        parts = (Part("f", BIG, "a"), Part("a", b"2"))
        self.assertEqual(self.upload("/api/Open/add", *parts).data, 3)
        self.assertEqual(self.on_disk(), [])

    @given(
        st.sets(st.sampled_from("abc")),
        st.sets(st.sampled_from("abc")),
        st.booleans(),
    )
    @run_with(max_examples=30, deadline=None)
    def test_precedence(self, query: set[str], fields: set[str], file: bool) -> None:
        """Query < form < files < request, whatever comes together."""
        parts = [Part(key, b"form") for key in sorted(fields)]
        if file:
            parts.append(Part("f", b"1", "a"))
        parts += [Part("files", b"form"), Part("request", b"form")]
        text = "&".join(f"{key}=query" for key in sorted(query))
        answer = self.upload(f"/api/Open/echo?{text}", *parts).data
        got = {key: value for key, value in answer.items() if key in "abc"}
        expected = dict.fromkeys(query, "query") | dict.fromkeys(fields, "form")
        self.assertEqual(got, expected)
        self.assertNotEqual(answer["files"] == "form", file)
        self.assertNotIn("request", answer)


class EndTests(FilesTestCase):
    """When the request is over, its files are gone."""

    def setUp(self) -> None:
        """Make functions that end in several ways."""
        super().setUp()
        self.seen: list[Path] = []

        def look(files: dict[str, Any]) -> None:
            self.seen.append(files["f"].temp_path)
            assert self.on_disk() == self.seen

        @self.app.tb(mod_name="Open", name="returns")
        async def returns(files: Any) -> None:
            look(files)

        @self.app.tb(mod_name="Open", name="raises")
        async def raises(files: Any) -> None:
            look(files)
            raise RuntimeError

        @self.app.tb(mod_name="Open", name="waits")
        async def waits(files: Any) -> None:
            look(files)
            await asyncio.sleep(3600)

        @self.app.tb(mod_name="Open", name="streams")
        async def streams(files: Any) -> Result:
            look(files)

            async def content() -> AsyncIterator[bytes]:
                yield files["f"].read()

            return Result.stream(content(), "text/plain")

        @self.app.tb(mod_name="Open", name="keeps")
        async def keeps(files: Any) -> None:
            look(files)
            self.kept = files["f"].save_to(self.data_dir / "kept")

    def test_answered(self) -> None:
        """However a function ends, nothing stays on disk."""
        for path in (
            "Open/returns",
            "Open/raises",
            "Open/nothing",
            "Closed/mine",
            "Open/refuses",
        ):
            self.upload(f"/api/{path}", Part("f", BIG, "a"))
            self.assertEqual(self.on_disk(), [], path)
            self.seen.clear()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_kept(self) -> None:
        """What a function has saved stays."""
        self.upload("/api/Open/keeps", Part("f", BIG, "a"))
        self.assertEqual(self.on_disk(), [])
        self.assertEqual(self.kept.read_bytes(), BIG)

    def request(self, path: str) -> Request:
        """Return a request with a file on disk."""
        head = Request("POST", path, headers={"content-type": FORM_DATA})
        reader = self.core.dispatcher.body_reader(head)
        reader.feed(form(Part("f", BIG, "a")))
        return attrs.evolve(head, parsed=reader.finish())

    def test_cancelled(self) -> None:
        """A client that leaves takes its files along."""

        async def scenario() -> None:
            request = self.request("/api/Open/waits")
            answering = asyncio.ensure_future(self.core.dispatcher.handle(request))
            await until(lambda: bool(self.seen))
            answering.cancel()
            await asyncio.wait([answering])

        run(scenario())
        self.assertEqual(self.on_disk(), [])

    def test_streamed(self) -> None:
        """A stream may use the files until it has ended."""

        async def scenario() -> bytes:
            request = self.request("/api/Open/streams")
            response: Response = await self.core.dispatcher.handle(request)
            self.assertEqual(self.on_disk(), self.seen)
            return await read(response.body)

        self.assertEqual(run(scenario()), BIG)
        self.assertEqual(self.on_disk(), [])
