"""Process 1 of a container: a small init, and the role as its child.

The kernel makes process 1 the parent of every orphan of the container, and drops
signals for which process 1 has no handler. A role is no init: its libraries wait for
children of their own. So process 1 splits itself before anything else has begun (ADR
0018): it hands signals on, reaps whoever ends, and ends as the role has ended.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import MutableMapping
from time import monotonic
from typing import Final

_FIRST: Final = 1
_HANDED_ON: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_STREAMS: Final = 3
_SIGNALLED: Final = 128
_PATIENCE_S: Final = 30.0
_MOST_CLOSED: Final = 1 << 20


def leave_first_place(environ: MutableMapping[str, str]) -> None:
    """If this is process 1, go on as its child; nothing may run in threads yet.

    What was given to process 1 (``LISTEN_PID``) is the child's.
    """
    if os.getpid() != _FIRST:
        return
    watched = (*_HANDED_ON, signal.SIGCHLD)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    child = os.fork()
    if child:
        os._exit(_as_init(child))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.setsid()  # a Ctrl-C in the terminal comes by way of process 1, and once
    if environ.get("LISTEN_PID") == str(_FIRST):
        environ["LISTEN_PID"] = str(os.getpid())


def _as_init(child: int) -> int:
    """Serve ``child`` and all orphans until it ends; return the exit status."""
    _close_all()
    status: int | None = None
    while status is None:
        number = signal.sigwait((*_HANDED_ON, signal.SIGCHLD))
        if number == signal.SIGCHLD:
            status = _reap().get(child)
        else:
            os.kill(child, number)
    if os.WIFSIGNALED(status):
        _outlast()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SIGNALLED - code


def _close_all() -> None:
    """Keep no descriptor: a listener that the role closes is to refuse.

    Containers may have a limit of a billion, and kernels that close one by one.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = most == resource.RLIM_INFINITY
    os.closerange(_STREAMS, _MOST_CLOSED if unlimited else min(most, _MOST_CLOSED))


def _reap() -> dict[int, int]:
    """Take all who have ended; return their wait statuses."""
    ended: dict[int, int] = {}
    while _has_children():
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            break
        ended[pid] = status
    return ended


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _outlast() -> None:
    """Let those finish whom a killed manager has left: without process 1 all are killed.

    A signal ends the waiting.
    """
    deadline = monotonic() + _PATIENCE_S
    while _has_children() and monotonic() < deadline:
        got = signal.sigtimedwait(
            (*_HANDED_ON, signal.SIGCHLD), max(0.0, deadline - monotonic())
        )
        if got is not None and got.si_signo != signal.SIGCHLD:
            return
        _reap()
