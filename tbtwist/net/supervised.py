"""How a process finds what its supervisor gave it, and tells it how it is.

The systemd conventions: ``LISTEN_FDS``/``LISTEN_FDNAMES`` for inherited
descriptors (from 3 on), ``NOTIFY_SOCKET`` for ``READY=1`` and its kin. So one
worker runs unchanged under our manager, under systemd, or by hand (ADR 0003).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Final

import attrs
from twisted.logger import Logger

_log = Logger()

FIRST_DESCRIPTOR: Final = 3
LIFELINE: Final = "lifeline"
EXITS: Final = "exits"
_FIGURE: Final = "X_"
_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID")


def take_descriptors(environ: MutableMapping[str, str], pid: int) -> dict[str, int]:
    """Return inherited descriptors by name, and remove the variables.

    Unlike Twisted's ``ListenFDs`` an absent ``LISTEN_PID`` is accepted: whoever
    spawns us cannot know our pid beforehand. One that is there must be ours. Of
    several with one name, the later ones get their position appended.
    """
    given = {name: environ.pop(name, "") for name in _VARIABLES}
    if given["LISTEN_PID"] not in {"", str(pid)} or not given["LISTEN_FDS"].isdecimal():
        return {}
    count = int(given["LISTEN_FDS"])
    names = given["LISTEN_FDNAMES"].split(":") if given["LISTEN_FDNAMES"] else []
    names += ["unknown"] * (count - len(names))
    found: dict[str, int] = {}
    for position, name in enumerate(names[:count]):
        unique = f"{name}.{position}" if name in found else name
        found[unique] = FIRST_DESCRIPTOR + position
    return found


def as_facts(figures: Mapping[str, int]) -> dict[str, int]:
    """Return what a role counts as facts for `Notifier.tell`, under names of ours."""
    return {f"{_FIGURE}{name}": value for name, value in figures.items()}


def figures_in(facts: Mapping[str, str]) -> dict[str, int]:
    """Return what a role counts, from its facts; what is no number is passed over."""
    return {
        name.removeprefix(_FIGURE): int(value)
        for name, value in facts.items()
        if name.startswith(_FIGURE) and value.isdecimal() and value.isascii()
    }


@attrs.frozen
class Notifier:
    """Speaks the ``sd_notify`` protocol; says nothing where nobody listens."""

    address: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Notifier:
        """Return a notifier for ``NOTIFY_SOCKET``."""
        path = environ.get("NOTIFY_SOCKET", "")
        return cls("\0" + path[1:] if path.startswith("@") else path)

    def tell(self, **facts: object) -> bool:
        """Send ``NAME=value`` lines, as in ``tell(READY=1, STATUS="serving")``."""
        if not self.address:
            return False
        message = "\n".join(f"{name}={value}" for name, value in facts.items())
        with socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        ) as sock:
            sock.settimeout(0)
            try:
                sock.connect(self.address)
                sock.send(message.encode())
            except OSError as error:
                _log.debug("the supervisor does not listen: {error}", error=error)
                return False
        return True


def parse_notification(datagram: bytes) -> dict[str, str]:
    """Read what `Notifier.tell` sent; a line without ``=`` is passed over."""
    lines = datagram.decode(errors="replace").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def take_lifeline(descriptors: Mapping[str, int]) -> int | None:
    """Return the descriptor whose end of file means that the manager is gone."""
    return _take_pipe(descriptors, LIFELINE)


def take_exits(descriptors: Mapping[str, int]) -> int | None:
    """Return the descriptor on which a manager tells its broker who has ended."""
    return _take_pipe(descriptors, EXITS)


def _take_pipe(descriptors: Mapping[str, int], name: str) -> int | None:
    descriptor = descriptors.get(name)
    if descriptor is not None:
        os.set_inheritable(descriptor, False)
        os.set_blocking(descriptor, False)
    return descriptor
