"""Which paths belong to the core, and what they name (R1.2, R1.3)."""

from __future__ import annotations

from typing import Final

import attrs

from tbtwist.errors import Refused

HEALTH: Final = "/health"
READY: Final = "/ready"
PING: Final = "/api/ping"
IP: Final = "/api/ip"
BUILT_IN: Final = frozenset({HEALTH, READY, PING, IP})


@attrs.frozen
class Routes:
    """The core's paths; module calls live below ``prefix``."""

    prefix: str = "/api"

    def owns(self, path: str) -> bool:
        """Whether the core answers ``path``; ``/apiX`` is not below ``/api``."""
        prefix = self.prefix.rstrip("/")
        return path in BUILT_IN or path == prefix or path.startswith(prefix + "/")

    def called(self, path: str) -> tuple[str, str]:
        """Return module and function of ``/api/{Module}/{Function}``.

        A module's name may contain dots, a function's may contain slashes.

        Raises:
            Refused: 400 if one of the two is missing.
        """
        rest = path[len(self.prefix.rstrip("/")) :].strip("/")
        module, _, function = rest.partition("/")
        if not module:
            raise Refused(400, "Missing module name")
        if not function:
            raise Refused(400, "Missing function name")
        return module, function
