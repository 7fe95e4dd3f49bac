"""Which paths belong to the core, and what they name (R1.2, R1.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import attrs

from tbtwist.api.request import Request
from tbtwist.api.response import Response
from tbtwist.errors import Refused

Handler = Callable[[Request], Awaitable[Response]]

GET: Final = ("GET", "HEAD")
POST: Final = ("POST",)
CALL_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")


@attrs.frozen
class Route:
    """One path of the worker's own. ``methods`` are all that it takes."""

    methods: tuple[str, ...]
    handler: Handler
    is_session: bool = False


@attrs.frozen
class Routes:
    """The core's paths: ``fixed`` ones first, then module calls below ``prefix``."""

    prefix: str = "/api"
    fixed: Mapping[str, Route] = attrs.Factory(dict)

    def owns(self, path: str) -> bool:
        """Whether the core answers ``path``; ``/apiX`` is not below ``/api``."""
        prefix = self.prefix.rstrip("/")
        return path in self.fixed or path == prefix or path.startswith(prefix + "/")

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
