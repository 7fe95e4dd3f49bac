"""The roles: settings and a reactor in, something that `Lifetime` can run out.

The only place that knows concrete classes of more than one feature. A process
imports only what its own role needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tbtwist.lifetime import Role
    from tbtwist.roles.process import Process

_WHERE: Final = {
    "http": ("tbtwist.roles.http", "on_zeromq"),
    "ws": ("tbtwist.roles.ws", "on_zeromq"),
    "broker": ("tbtwist.roles.broker", "BrokerRole"),
    "manager": ("tbtwist.roles.manager", "ManagerRole"),
    "all": ("tbtwist.roles.everything", "EverythingRole"),
}


def build(name: str, process: Process) -> Role:
    """Return the role called ``name`` for ``process``."""
    module, builder = _WHERE[name]
    role: Role = getattr(import_module(module), builder)(process)
    return role
