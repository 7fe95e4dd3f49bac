"""Users' own WSGI applications, below paths of their own (``toolbox.wsgi_mounts``).

In a worker they run in the WSGI threads, as real ``twisted.web.wsgi`` applications.
What that leaves undone is done here: the client's address behind a proxy, a file
wrapper, an error page, and PEP 3333's promise that ``close`` is called whatever
happens. Under another WSGI server they run in its threads, with its environment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final, Protocol
from urllib.parse import unquote_to_bytes

import attrs
from twisted.logger import Logger

from tbtwist.errors import ModuleFailed
from tbtwist.http.pages import FAILED

_log = Logger()

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiCallable = Callable[[Environ, StartResponse], Iterable[bytes]]
Segments = tuple[bytes, ...]

_BLOCK: Final = 64 * 1024
_NOT_HEADERS: Final = ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_PROXY")
"""CGI has other names for two of them, and takes the third for its own setting."""


class Client(Protocol):
    """Who a request comes from; ``secure`` says whether they speak TLS."""

    @property
    def client_ip(self) -> str:
        """Return the client's address, not a proxy's."""

    @property
    def secure(self) -> bool:
        """Whether the client speaks TLS."""


@attrs.frozen
class Mount:
    """An application and the path that it is below, as segments."""

    segments: Segments
    application: WsgiCallable

    def holds(self, segments: Segments) -> bool:
        """Whether a path is this one's."""
        return segments[: len(self.segments)] == self.segments

    def taking(self, request: Any) -> WsgiCallable:
        """Return what to run for a request of Twisted Web, which is changed for it.

        The mount's path becomes ``SCRIPT_NAME``, what is left ``PATH_INFO``.
        """
        for _ in self.segments:
            request.prepath.append(request.postpath.pop(0))
        exchange = request.channel.exchange

        def called(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            _tell_client(environ, exchange)
            environ["wsgi.multiprocess"] = True
            environ["wsgi.input_terminated"] = True
            environ["wsgi.file_wrapper"] = FileWrapper
            return self(environ, start_response)

        return called

    def below(self, environ: Environ, client: Client) -> Environ:
        """Return another server's ``environ`` as the application must see it."""
        path = environ.get("PATH_INFO", "")
        taken = "".join(f"/{part.decode('latin-1')}" for part in self.segments)
        moved = {
            **environ,
            "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + taken,
            "PATH_INFO": path[len(taken) :],
        }
        _tell_client(moved, client)
        return moved

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Run the application; what it raises before its answer is a 500 page."""
        for name in _NOT_HEADERS:
            environ.pop(name, None)
        try:
            return _Answer(self.application(environ, start_response))
        except Exception:  # noqa: BLE001 - the application's; the client gets an answer
            where = environ.get("SCRIPT_NAME", "")
            _log.failure("the application at {where} failed", where=where)
            page = FAILED.body
            headers = [*FAILED.headers, ("Content-Length", str(len(page)))]
            start_response("500 Internal Server Error", headers, sys.exc_info())
            return [page]


def _tell_client(environ: Environ, client: Client) -> None:
    """Say who asks, if a trusted proxy has said so."""
    environ["REMOTE_ADDR"] = client.client_ip
    if client.secure:
        environ["wsgi.url_scheme"] = "https"


@attrs.frozen
class Mounts:
    """All mounts of a worker; of two that hold a path, the longer one is its own."""

    mounts: tuple[Mount, ...] = ()

    @classmethod
    def of(
        cls, applications: Mapping[str, WsgiCallable], owns: Callable[[str], bool]
    ) -> Mounts:
        """Return the mounts of ``applications`` by their paths.

        Raises:
            ModuleFailed: a path is none, or the API's (``owns``).
        """
        for path in applications:
            if not path.startswith("/"):
                raise ModuleFailed(path, "toolbox.wsgi_mounts", "paths begin with /")
            if owns(path):
                raise ModuleFailed(path, "toolbox.wsgi_mounts", "the API is there")
        found = [Mount(_segments(path), app) for path, app in applications.items()]
        return cls(tuple(sorted(found, key=lambda m: len(m.segments), reverse=True)))

    def find(self, raw_path: bytes) -> Mount | None:
        """Return what a path, as it came, is below; ``%2F`` separates nothing."""
        if not self.mounts:
            return None
        segments = tuple(unquote_to_bytes(part) for part in raw_path[1:].split(b"/"))
        return self._holding(segments)

    def find_decoded(self, path: str) -> Mount | None:
        """Return what a ``PATH_INFO`` is below: another server has decoded it."""
        return self._holding(tuple(path[1:].encode("latin-1").split(b"/")))

    def _holding(self, segments: Segments) -> Mount | None:
        return next((m for m in self.mounts if m.holds(segments)), None)


NO_MOUNTS: Final = Mounts()


def _segments(path: str) -> Segments:
    inner = path.strip("/")
    return tuple(inner.encode().split(b"/")) if inner else ()


class FileWrapper:
    """``wsgi.file_wrapper``: an open file in blocks; closed in the end."""

    def __init__(self, file: BinaryIO, block_bytes: int = _BLOCK) -> None:
        self._file = file
        self._block_bytes = block_bytes

    def __iter__(self) -> Iterator[bytes]:
        while block := self._file.read(self._block_bytes):
            yield block

    def close(self) -> None:
        """Close the file."""
        close = getattr(self._file, "close", None)
        if close is not None:
            close()


class _Answer:
    """What an application returned; its ``close`` is called once, also on failure."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks: Iterable[bytes] | None = blocks

    def __iter__(self) -> Iterator[bytes]:
        assert self._blocks is not None
        try:
            yield from self._blocks
        finally:
            self.close()

    def close(self) -> None:
        """Tell the application that its answer is over."""
        blocks, self._blocks = self._blocks, None
        close = getattr(blocks, "close", None)
        if close is not None:
            close()
