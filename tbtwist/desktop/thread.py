"""The thread that a program's reactor runs in.

A reactor runs once in a process and cannot be started again, so its thread stays;
only the services on it start and stop (PROCESS.md, restart in one process).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, Final, TypeVar, cast

from tbtwist.errors import OnReactorThread

T = TypeVar("T")
_REACTOR: Final = "twisted.internet.reactor"


class ReactorThread:
    """The way of other threads to the reactor, which is started when first needed.

    A reactor that the program runs itself is used as it is. ``at_exit`` is called,
    in a thread of its own, when the program's main thread has ended: the threads of
    the services would keep the process alive.
    """

    def __init__(self, at_exit: Callable[[], None]) -> None:
        self._at_exit = at_exit
        self._lock = threading.Lock()
        self._reactor: Any = None

    def run(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Run ``work(reactor)`` on the reactor's thread and wait for what it returns.

        Call `refuse_itself` before, and before waiting for anything else.
        """
        from twisted.internet.defer import Deferred
        from twisted.internet.threads import blockingCallFromThread

        reactor = self._running()

        def begin() -> Deferred[Any]:
            return Deferred.fromCoroutine(work(reactor))

        result: Any = blockingCallFromThread(reactor, begin)
        return cast("T", result)

    def refuse_itself(self) -> None:
        """Check that this is not the reactor's thread, which cannot wait for itself.

        Raises:
            OnReactorThread: it is.
        """
        from twisted.python.threadable import isInIOThread

        if isInIOThread():
            raise OnReactorThread

    def _running(self) -> Any:
        with self._lock:
            if self._reactor is None:
                self._reactor = _of_the_program() or self._start()
            return self._reactor

    def _start(self) -> Any:
        started = threading.Event()
        found: list[Any] = []

        def main() -> None:
            from tbtwist.uvreactor import install_best

            install_best()
            reactor: Any = import_module(_REACTOR)
            _forget_events()
            found.append(reactor)
            reactor.callWhenRunning(started.set)
            reactor.run(installSignalHandlers=False)

        threading.Thread(target=main, name="tbtwist", daemon=True).start()
        started.wait()
        threading.Thread(
            target=self._end, args=(found[0],), name="tbtwist-exit", daemon=True
        ).start()
        return found[0]

    def _end(self, reactor: Any) -> None:
        threading.main_thread().join()
        self._at_exit()
        reactor.callFromThread(reactor.stop)


def _of_the_program() -> Any:
    """Return the reactor if the program runs one already."""
    reactor = sys.modules.get(_REACTOR)
    return reactor if getattr(reactor, "running", False) else None


def _forget_events() -> None:
    """Keep what is logged only where somebody watches.

    Until a program begins to log, Twisted keeps every event for it in memory.
    """
    from twisted.logger import globalLogBeginner

    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
