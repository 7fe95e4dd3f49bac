"""Which other origins may use the API from a browser (contract §2, R1.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import attrs

from tbtwist.api.request import Request
from tbtwist.api.response import Headers, Response
from tbtwist.config.schema import Settings

METHODS: Final = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
_ALLOWED_HEADERS: Final = (
    "Content-Type, Authorization, X-Requested-With, Accept, Origin, X-Session-Token, "
    "Traceparent, Tracestate"
)
_MAX_AGE_S: Final = 86_400
_LOCAL: Final = re.compile(
    r"(tauri://localhost|https?://(localhost|127\.0\.0\.1|tauri\.localhost)(:\d{1,5})?)\Z"
)


@attrs.frozen
class CorsPolicy:
    """The origins that are let in. Never ``*``: answers depend on cookies."""

    origins: frozenset[str] = frozenset()
    local: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> CorsPolicy:
        """Return the configured origins; outside production the local ones too."""
        origins = frozenset(settings.http_worker.cors_origins)
        return cls(origins, local=not settings.production)

    def allows(self, origin: str) -> bool:
        """Whether pages of ``origin`` may read our answers."""
        return origin in self.origins or bool(self.local and _LOCAL.match(origin))

    def headers(self, request: Request) -> Headers:
        """Return what every answer says about origins."""
        origin = request.headers.get("origin", "")
        if not self.allows(origin):
            return (("Vary", "Origin"),)
        return (
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "X-Request-ID"),
        )

    def preflight(self, request: Request, methods: Iterable[str]) -> Response:
        """Answer OPTIONS: 204, without looking at sessions.

        ``methods`` are those of the resource. What a page may ask for is the same
        everywhere, so that a browser learns it once.
        """
        allow = ("Allow", ", ".join((*methods, "OPTIONS")))
        if not self.allows(request.headers.get("origin", "")):
            return Response(204, (allow,))
        return Response(
            204,
            (
                allow,
                ("Access-Control-Allow-Methods", METHODS),
                ("Access-Control-Allow-Headers", _ALLOWED_HEADERS),
                ("Access-Control-Max-Age", str(_MAX_AGE_S)),
            ),
        )
