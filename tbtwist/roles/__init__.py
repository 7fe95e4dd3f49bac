"""The roles: settings and a reactor in, something that `Lifetime` can run out.

The only place that knows concrete classes of more than one feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tbtwist.lifetime import Role
from tbtwist.roles.broker import BrokerRole
from tbtwist.roles.everything import EverythingRole
from tbtwist.roles.http import HttpRole
from tbtwist.roles.manager import ManagerRole
from tbtwist.roles.process import Process as Process
from tbtwist.roles.ws import WsRole

BUILDERS: Final[Mapping[str, Callable[[Process], Role]]] = {
    "http": HttpRole.on_zeromq,
    "ws": WsRole.on_zeromq,
    "broker": BrokerRole,
    "manager": ManagerRole,
    "all": EverythingRole,
}
