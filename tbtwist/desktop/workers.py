"""One http and one ws worker over the memory bus, started and stopped at will."""

from __future__ import annotations

import os
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from tbtwist.desktop.thread import ReactorThread
from tbtwist.errors import NotStarted

if TYPE_CHECKING:
    from twisted.logger import ILogObserver

    from tbtwist.apps.result import Result
    from tbtwist.config.loading import Loaded
    from tbtwist.net.locking import ProcessLock
    from tbtwist.observe.files import LogFolder, RotatingFile
    from tbtwist.roles.everything import EverythingRole
    from tbtwist.roles.process import Process

_WHAT: Final = "all"


@attrs.frozen
class Addresses:
    """Where the workers serve."""

    http_url: str
    ws_url: str


@attrs.define(eq=False)
class _Running:
    """What runs, and what was taken for it."""

    role: EverythingRole
    lock: ProcessLock
    observer: ILogObserver
    log: RotatingFile
    addresses: Addresses


class Workers:
    """The workers of this program.

    Every method may be called from any thread but the reactor's, and waits until it
    is done.
    """

    def __init__(self) -> None:
        self._thread = ReactorThread(self.stop)
        self._lock = threading.Lock()
        self._running: _Running | None = None

    @property
    def addresses(self) -> Addresses | None:
        """Return where the workers serve, if they do."""
        running = self._running
        return running.addresses if running else None

    def start(self, config: str | None, changes: Mapping[str, str]) -> Addresses:
        """Start the workers, or find them running; return where they serve.

        ``changes`` are environment variables that count for them alone.

        Raises:
            TbtwistError: a port is taken, the configuration is wrong, the application
                cannot be loaded, …
        """
        self._thread.refuse_itself()
        with self._lock:
            if self._running is None:
                loaded = _load(config, {**os.environ, **changes})
                return self._thread.run(lambda reactor: self._open(reactor, loaded))
            return self._running.addresses

    async def _open(self, reactor: Any, loaded: Loaded) -> Addresses:
        """Start them; they count even if nobody waits any more (a Ctrl-C)."""
        self._running = await _open(reactor, loaded, _Life(self._end))
        return self._running.addresses

    def stop(self) -> None:
        """Drain and stop the workers, if they run; the reactor's thread stays."""
        self._thread.refuse_itself()
        with self._lock:
            if self._running is not None:
                self._thread.run(self._close)

    async def _close(self, reactor: Any) -> None:
        running, self._running = self._running, None
        if running is not None:
            await _close(reactor, running)

    def _end(self) -> None:
        """Stop from the reactor's thread, which cannot wait for itself."""
        threading.Thread(target=self.stop, name="tbtwist-stop").start()

    def call(self, module: str, function: str, args: Mapping[str, object]) -> Result:
        """Call a function of the application, without any rules of access.

        Raises:
            NotStarted: the workers do not run.
            TbtwistError: there is no such function, arguments are wrong, …
        """
        self._thread.refuse_itself()
        running = self._running
        if running is None:
            raise NotStarted
        return self._thread.run(lambda _: running.role.call(module, function, args))


def _load(config: str | None, environ: Mapping[str, str]) -> Loaded:
    from tbtwist.config.loading import load

    return load(config, environ, cwd=Path.cwd(), home=Path.home())


async def _open(reactor: Any, loaded: Loaded, life: _Life) -> _Running:
    from tbtwist.net.locking import ProcessLock
    from tbtwist.roles.everything import EverythingRole

    data_dir = Path(loaded.settings.data_dir)
    path = data_dir / "run" / f"{_WHAT}.lock"
    lock = ProcessLock.take(path, what="program with these workers", pid=os.getpid())
    folder = _log_folder(loaded)
    log, observer = _start_log(loaded, folder)
    process = _process(reactor, loaded, folder)
    try:
        role = EverythingRole(process)
        role.bind()
        await _start(role, life)
    except BaseException:
        lock.release()
        _stop_log(log, observer)
        raise
    return _Running(role, lock, observer, log, Addresses(*role.urls))


async def _start(role: EverythingRole, life: _Life) -> None:
    try:
        await role.start(life)
    except BaseException:
        await role.stop()
        raise


async def _close(reactor: Any, running: _Running) -> None:
    from twisted.internet.defer import Deferred, TimeoutError as TookTooLong

    try:
        draining = Deferred.fromCoroutine(running.role.drain())
        await draining.addTimeout(running.role.drain_timeout_s, reactor)
    except TookTooLong:
        pass  # what is left is closed now
    finally:
        await running.role.stop()
        running.lock.release()
        _stop_log(running.log, running.observer)


def _log_folder(loaded: Loaded) -> LogFolder:
    from tbtwist.observe.files import LogFolder

    settings = loaded.settings
    path = Path(settings.data_dir) / "logs"
    return LogFolder(path, settings.logging, time.time, warnings.warn)


def _start_log(loaded: Loaded, folder: LogFolder) -> tuple[RotatingFile, ILogObserver]:
    """Write to a file in the data directory: standard output is the program's."""
    from twisted.logger import globalLogPublisher

    from tbtwist.observe.logs import observer
    from tbtwist.observe.records import Source

    log, settings = folder.file(_WHAT), loaded.settings
    source = Source(_WHAT, _WHAT, os.getpid)
    watching = observer(log, settings.logging.format, settings.log_level, source)
    globalLogPublisher.addObserver(watching)
    return log, watching


def _stop_log(log: RotatingFile, observer: ILogObserver) -> None:
    from twisted.logger import globalLogPublisher

    globalLogPublisher.removeObserver(observer)
    log.close()


def _process(reactor: Any, loaded: Loaded, folder: LogFolder) -> Process:
    from tbtwist.identity import WorkerId
    from tbtwist.lifetime import Surroundings
    from tbtwist.net.supervised import Notifier
    from tbtwist.roles.process import Process

    return Process(
        around=Surroundings(reactor=reactor, notifier=Notifier.from_environ({})),
        settings=loaded.settings,
        warnings=loaded.warnings,
        config_path=loaded.path,
        identity=WorkerId.new(f"{_WHAT}-1", 0, secrets.token_bytes),
        index=0,
        descriptors={},
        host=None,
        port=None,
        now=time.time,
        random=secrets.token_bytes,
        environ=os.environ,
        cwd=Path.cwd(),
        console=None,
        verbose=False,
        log_format=loaded.settings.logging.format,
        log_folder=folder,
        reload=lambda: loaded.settings,
    )


@attrs.frozen
class _Life:
    """What a role decides about its process ends the workers, not the program."""

    on_end: Callable[[], None]
    abandoned: bool = False

    def end(self, reason: str) -> None:
        """Stop the workers."""
        self.fail(reason)

    def fail(self, sentence: str) -> None:
        """Stop the workers; the log says why."""
        from twisted.logger import Logger

        Logger(__name__).error("the workers end: {reason}", reason=sentence)
        self.on_end()
