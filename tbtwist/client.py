"""`connect`: any Python program joins the bus, with the verbs of an application.

One of the doors to the process's environment: the configuration is found as
``tbtwist start`` finds it. The bus has a thread of its own, so that it makes no
difference whether the program is synchronous, runs asyncio, or anything else.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from tbtwist.apps.crossing import settle
from tbtwist.apps.encoding import to_plain
from tbtwist.apps.feeds import PREFIX
from tbtwist.apps.messaging import Messaging
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.runner import ReactorRunner
from tbtwist.apps.tasks import LoopThread
from tbtwist.bus.config import BusConfig
from tbtwist.bus.core import BusCore
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.zeromq import ZmqBus
from tbtwist.config.loading import examine
from tbtwist.config.schema import Settings
from tbtwist.errors import NoBroker, NoBus
from tbtwist.identity import CLIENT_ROLE, WorkerId
from tbtwist.net.loopreactor import LoopReactor
from tbtwist.services import Background
from tbtwist.tracing import current_trace

_log = Logger()

_THREADS: Final = 4
_QUEUE: Final = 1000
_HANDLER_TIMEOUT_S: Final = 60.0
_GOODBYE_S: Final = 5.0
_LAST_WORDS_S: Final = 1.0
"""How long we wait until what was said last has arrived, of each kind."""
_SLOTS: Final = 99_999


class Program(Messaging):
    """A program on the bus; every method from any thread. Made by `connect`.

    Beside the verbs of an application (`Messaging`) it can `call`. It handles
    events and answers calls, but no WebSocket messages: it gets no keys. After a
    long stall, in which it was given up for dead, it joins again by itself.
    """

    def __init__(
        self, settings: Settings, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        pool = SyncPool(_THREADS, _QUEUE, name="tbtwist-program")
        super().__init__(pool, _HANDLER_TIMEOUT_S)
        self._config = BusConfig.from_settings(settings)
        self._endpoints = Endpoints.for_settings(settings, secrets.token_bytes)
        self._slot = f"{CLIENT_ROLE}-{1 + secrets.randbelow(_SLOTS)}"
        self._thread = LoopThread("tbtwist-bus")
        self._reactor = LoopReactor(self._thread.loop)
        self._runner = ReactorRunner(self._reactor, loop=loop)
        self._background = Background()
        self._ident: int | None = None
        self._bus: BusCore | None = None
        self._closed = False

    # --- joining and leaving

    def open(self, timeout_s: float) -> None:
        """Join; `connect` does it.

        Raises:
            TimeoutError: no broker answered in time.
        """
        atexit.register(self.close)
        self._thread.start()
        try:
            self._there(self._join).result(timeout_s)
        except BaseException:
            self.close()
            raise

    async def _join(self) -> None:
        """Join under an identity that was never used before."""
        self._ident = threading.get_ident()
        identity = WorkerId.new(self._slot, 0, secrets.token_bytes)
        bus = ZmqBus(self._reactor, identity, self._endpoints, self._config)
        bus.on_fenced(self._rejoin)
        self._bus = bus
        bus.announce(ready=True)
        connected = bus.connect()
        self.connect_bus(bus, self._on_thread, self._runner)
        await connected

    def _rejoin(self) -> None:
        _log.warn("the broker had given this program up for dead; joining again")
        self.disconnect_bus()
        self._background.spawn("joining the bus again", self._join())

    def close(self) -> None:
        """Leave the bus and end its thread; calling this twice is fine.

        What was sent and published before has arrived, unless that takes long.

        Raises:
            RuntimeError: called on the bus' own thread, by an ``async def`` handler.
        """
        if self._closed:
            return
        self._check_thread("close")
        self._closed = True
        atexit.unregister(self.close)
        self._there(self._leave).result(_GOODBYE_S)
        ended = threading.Event()
        self._thread.stop(ended.set)
        ended.wait(_GOODBYE_S)
        self._ident = None  # another thread may get its number

    async def aclose(self) -> None:
        """Leave the bus, in asyncio code."""
        await asyncio.to_thread(self.close)

    async def _leave(self) -> None:
        self._background.cancel_all()
        self.disconnect_bus()
        bus, self._bus = self._bus, None
        if bus is not None:
            if bus.connected:
                await bus.published(_LAST_WORDS_S)
                await bus.drain(_LAST_WORDS_S)
            await bus.close()
        await self._runner.stopService()
        self.pool.stop(lambda: None)

    def __enter__(self) -> Self:
        """Return the program."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bus."""
        self.close()

    async def __aenter__(self) -> Self:
        """Return the program."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bus."""
        await self.aclose()

    # --- the bus

    @property
    def slot(self) -> str:
        """Return the name under which others can `call` this program."""
        return self._slot

    @property
    def connected(self) -> bool:
        """Whether a broker is there at the moment, and knows us."""
        bus = self._bus
        return bus is not None and bus.connected

    async def call(
        self, target: str, method: str, payload: object = None, timeout_s: float = 5.0
    ) -> Any:
        """Ask a worker (``"http-1"``), any (``"http"``) or all (``"http*"``).

        They answer with `serve`. In asyncio code, on any loop.

        Raises:
            Unroutable, CallTimeout, CallRefused: there is no answer, and why.
            NoBus: the program has left the bus.
        """
        return await self._ask(target, method, payload, timeout_s)

    def call_and_wait(
        self, target: str, method: str, payload: object = None, timeout_s: float = 5.0
    ) -> Any:
        """Ask as `call`, and wait for the answer; in synchronous code."""
        if self._closed:
            raise NoBus
        self._check_thread("call_and_wait")
        trace = current_trace()

        def ask() -> Deferred[Any]:
            if self._bus is None:
                raise NoBus
            return self._bus.call(
                target,
                PREFIX + method,
                to_plain(payload),
                timeout_s=timeout_s,
                trace=trace,
            )

        return self._there(ask).result()

    # --- the way to the bus' thread

    def _on_thread(self, function: Callable[..., object], *args: Any) -> None:
        """Be a `CallOnReactor`."""
        if threading.get_ident() == self._ident:
            function(*args)
        elif not self._closed:
            self._reactor.callFromThread(function, *args)

    def _there(self, function: Callable[[], Any]) -> Future[Any]:
        """Call a function on the bus' thread; it may return a Deferred or a coroutine."""
        future: Future[Any] = Future()

        def ended(outcome: object) -> None:
            settle(future, outcome)

        def start() -> None:
            running: Deferred[Any] = maybeDeferred(function)
            _ = running.addBoth(ended)

        self._reactor.callFromThread(start)
        return future

    def _check_thread(self, what: str) -> None:
        if threading.get_ident() == self._ident:
            msg = f"{what} would wait for the thread that it runs in; await instead"
            raise RuntimeError(msg)


def connect(
    config: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    timeout_s: float = 5.0,
) -> Program:
    """Join the bus of the system that runs with this configuration.

    The configuration is found as ``tbtwist start`` finds it; ``config`` and
    ``data_dir`` say which one. Blocks until the broker has answered; in asyncio
    code there is `connect_async`. Leave with `Program.close`, or use ``with``.

    Raises:
        NoBroker: nobody answered within ``timeout_s``.
        ConfigError, ConfigNotFound: the configuration cannot be used.
        BusKeysUnusable: the bus is on TCP, and we may not read its keys.
    """
    return _connect(config, data_dir, timeout_s, None)


async def connect_async(
    config: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    timeout_s: float = 5.0,
) -> Program:
    """Join the bus as `connect`; ``async def`` handlers run on the caller's loop."""
    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(_connect, config, data_dir, timeout_s, loop)


def _connect(
    config: str | Path | None,
    data_dir: str | Path | None,
    timeout_s: float,
    loop: asyncio.AbstractEventLoop | None,
) -> Program:
    settings = _settings(config, data_dir)
    where = str(Path(settings.data_dir).absolute())
    if not Path(where).is_dir():
        raise NoBroker(data_dir=where, reason="there is no such directory")
    program = Program(settings, loop)
    try:
        program.open(timeout_s)
    except TimeoutError as error:
        reason = f"nobody answered within {timeout_s:g} s"
        raise NoBroker(data_dir=where, reason=reason) from error
    return program


def _settings(config: str | Path | None, data_dir: str | Path | None) -> Settings:
    path = None if config is None else str(config)
    given = {} if data_dir is None else {"TB_DATA_DIR": str(data_dir)}
    environ = {**os.environ, **given}
    return examine(path, environ, cwd=Path.cwd(), home=Path.home()).settings
