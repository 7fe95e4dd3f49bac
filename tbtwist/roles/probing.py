"""A worker asks itself whether it is well, before anybody else can ask it.

In an update a new version must not get a single request if it is broken. So it
serves on an address of its own first, and is asked there, through everything that
a client's request goes through.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.web.client import Agent, readBody
from twisted.web.http_headers import Headers
from typing_extensions import override

from tbtwist.errors import ProbeFailed
from tbtwist.net.listening import bind_tcp, serve, url_of

_TIMEOUT_S = 10.0
_WELL = range(200, 400)


class _Same(ServerFactory[Protocol]):
    """Another factory's protocols; that one does not notice our start and stop."""

    noisy = False

    def __init__(self, factory: ServerFactory[Any]) -> None:
        self._factory = factory

    @override
    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Return a protocol of the other factory."""
        return self._factory.buildProtocol(addr)


async def probe(reactor: Any, factory: ServerFactory[Any], path: str) -> None:
    """Ask what ``factory`` serves for ``path``.

    Raises:
        ProbeFailed: the answer is no success and no redirection, or there is none.
    """
    listener = bind_tcp("127.0.0.1", 0, backlog=1, what="the probe")
    port = serve(reactor, listener, _Same(factory), backlog=1)
    try:
        url = f"{url_of(listener, 'http')}{path}"
        status = await _status_of(reactor, url, path)
    finally:
        await maybeDeferred(port.stopListening)
        listener.close()
    if status not in _WELL:
        raise ProbeFailed(path=path, reason=f"the answer was {status}")


async def _status_of(reactor: Any, url: str, path: str) -> int:
    agent = Agent(reactor, connectTimeout=_TIMEOUT_S)
    headers = Headers({"Connection": ["close"], "User-Agent": ["tbtwist probe"]})
    asking = agent.request(b"GET", url.encode("ascii"), headers)
    try:
        response = await asking.addTimeout(_TIMEOUT_S, reactor)
        reading = readBody(response)
        await reading.addTimeout(_TIMEOUT_S, reactor)
    except Exception as error:
        reason = str(error) or f"no answer within {_TIMEOUT_S:g} s"
        raise ProbeFailed(path=path, reason=reason) from error
    return int(response.code)
