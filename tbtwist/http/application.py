"""The raw WSGI callable over the core (PEP 3333)."""

from __future__ import annotations

from asyncio import CancelledError as TaskCancelled
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError as FutureCancelled
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError

from tbtwist.api import failures
from tbtwist.api.dispatch import Dispatcher
from tbtwist.api.request import Request
from tbtwist.api.response import FileBody, Response, StreamBody
from tbtwist.errors import Refused, TbtwistError
from tbtwist.http.bridges import GONE, Bridge, ClientGone
from tbtwist.http.environ import (
    FileBlocks,
    header_list,
    read_body,
    read_head,
    status_line,
)
from tbtwist.http.mounts import NO_MOUNTS, Mounts
from tbtwist.net.proxies import TrustedProxies

StartResponse = Callable[..., Any]
_CANCELLED: Final = (CancelledError, FutureCancelled, TaskCancelled)


class WsgiApplication:
    """Answers the API's routes under any WSGI server, and ``mounts`` if it has any."""

    def __init__(
        self, dispatcher: Dispatcher, bridge: Bridge, mounts: Mounts = NO_MOUNTS
    ) -> None:
        self.dispatcher = dispatcher
        self._mounts = mounts
        self._bridge = bridge
        config = dispatcher.settings.http_worker
        self._proxies = TrustedProxies.parse(config.trusted_proxies)

    def owns(self, path: str) -> bool:
        """Whether ``path`` (percent-decoded) belongs to this application."""
        return self.dispatcher.owns(path)

    def __call__(
        self, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request."""
        request = read_head(environ, self._proxies)
        if not self.owns(request.path):
            mount = self._mounts.find_decoded(environ.get("PATH_INFO", ""))
            if mount is not None:
                return mount(mount.below(environ, request), start_response)
        response = self._answer(request, environ)
        gone: ClientGone | None = environ.get(GONE)
        response, blocks = self._blocks(request, response, gone)
        start_response(status_line(response), header_list(response))
        return blocks

    def _answer(self, request: Request, environ: dict[str, Any]) -> Response:
        try:
            parsed = read_body(environ, self.dispatcher.body_reader(request))
            return self._handled(attrs.evolve(request, parsed=parsed), environ)
        except _CANCELLED:
            return failures.failure(499, "The client has left")
        except TbtwistError as error:
            return self.dispatcher.refuse(request, error)

    def _handled(self, request: Request, environ: dict[str, Any]) -> Response:
        """Let the core answer; it may never get to see the request."""
        try:
            return self._bridge(self.dispatcher.handle(request), environ.get(GONE))
        except BaseException:
            request.parsed.close()
            raise

    def _blocks(
        self, request: Request, response: Response, gone: ClientGone | None
    ) -> tuple[Response, Iterable[bytes]]:
        """Return what is sent; a file that cannot be read any more is a 404."""
        body = response.body
        silent = request.method == "HEAD" or not response.has_body
        if isinstance(body, bytes):
            return response, [] if silent else [body]
        if not isinstance(body, FileBody):
            stream = StreamBlocks(body, self._bridge, gone)
            if silent:
                stream.close()
            return response, [] if silent else stream
        try:
            return response, [] if silent else FileBlocks.open(body)
        except OSError:
            lost = Refused(404, "The file is not there any more")
            return self._blocks(request, self.dispatcher.refuse(request, lost), gone)


@attrs.define(eq=False)
class StreamBlocks:
    """A stream as PEP 3333 wants it: one piece at a time, when it is asked for."""

    _body: StreamBody
    _bridge: Bridge
    _gone: ClientGone | None = None

    def __iter__(self) -> StreamBlocks:
        return self

    def __next__(self) -> bytes:
        """Return the next piece; what it raises must cut the connection."""
        try:
            piece = self._bridge.wait(self._body.next(), self._gone)
        except _CANCELLED:
            if self._gone is None or not self._gone.left:
                raise
            piece = None
        if piece is None:
            raise StopIteration
        return piece

    def close(self) -> None:
        """Clean up; PEP 3333 promises that this is called."""
        self._bridge.wait(self._body.close())
