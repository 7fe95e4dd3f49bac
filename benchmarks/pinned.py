"""Becomes another program, on one core, that ends when its starter ends.

``python -m benchmarks.pinned CORE DESCRIPTOR STARTER PROGRAM ARGUMENT…``: CORE and
DESCRIPTOR may be ``-``. The descriptor becomes number 3, where the systemd
convention wants a listener. A trampoline, because code between fork and exec
(``preexec_fn``) is fragile.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Final

LISTENER: Final = 3
_PR_SET_PDEATHSIG: Final = 1


def die_with(starter: int) -> None:
    """Be killed when the process ``starter``, our parent, ends (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != starter:
        sys.exit("whoever started this is gone")


def main(arguments: Sequence[str]) -> None:
    """Change this process's surroundings, then its program."""
    core, descriptor, starter, *program = arguments
    if sys.platform == "linux":
        die_with(int(starter))
        if core != "-":
            os.sched_setaffinity(0, {int(core)})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if descriptor != "-":
        given = int(descriptor)
        os.dup2(given, LISTENER)
        if given != LISTENER:
            os.close(given)
        else:
            os.set_inheritable(LISTENER, True)
    os.execvp(program[0], program)  # noqa: S606 - a list, by our own starter


if __name__ == "__main__":
    main(sys.argv[1:])
