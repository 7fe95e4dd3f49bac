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
from tbtwist.api.response import Response
from tbtwist.errors import Refused, TbtwistError
from tbtwist.http.bridges import GONE, Bridge
from tbtwist.http.environ import (
    FileBlocks,
    header_list,
    read_body,
    read_head,
    status_line,
)
from tbtwist.http.proxies import TrustedProxies

StartResponse = Callable[..., Any]
_CANCELLED: Final = (CancelledError, FutureCancelled, TaskCancelled)


class WsgiApplication:
    """Answers the API's routes under any WSGI server."""

    def __init__(self, dispatcher: Dispatcher, bridge: Bridge) -> None:
        self._dispatcher = dispatcher
        self._bridge = bridge
        config = dispatcher.settings.http_worker
        self._proxies = TrustedProxies.parse(config.trusted_proxies)
        self._max_body_bytes = config.max_body_bytes

    def owns(self, path: str) -> bool:
        """Whether ``path`` (percent-decoded) belongs to this application."""
        return self._dispatcher.owns(path)

    def __call__(
        self, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request."""
        request = read_head(environ, self._proxies)
        response = self._answer(request, environ)
        response, blocks = self._blocks(request, response)
        start_response(status_line(response), header_list(response))
        return blocks

    def _answer(self, request: Request, environ: dict[str, Any]) -> Response:
        try:
            body = read_body(environ, self._max_body_bytes)
            work = self._dispatcher.handle(attrs.evolve(request, body=body))
            return self._bridge(work, environ.get(GONE))
        except _CANCELLED:
            return failures.failure(499, "The client has left")
        except TbtwistError as error:
            return self._dispatcher.refuse(request, error)

    def _blocks(
        self, request: Request, response: Response
    ) -> tuple[Response, Iterable[bytes]]:
        """Return what is sent; a file that cannot be read any more is a 404."""
        if request.method == "HEAD" or not response.has_body:
            return response, []
        if isinstance(response.body, bytes):
            return response, [response.body]
        try:
            return response, FileBlocks.open(response.body)
        except OSError:
            gone = Refused(404, "The file is not there any more")
            return self._blocks(request, self._dispatcher.refuse(request, gone))
