"""Which web pages may open a WebSocket here (contract §4).

A browser sends cookies along whoever opens the connection, so a page of
another site could act as its visitor; the ``Origin`` header tells them apart.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import attrs

from tbtwist.config.schema import Settings

_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1", "tauri.localhost"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen
class _Origin:
    text: str
    host: str


@attrs.frozen
class OriginRules:
    """Decides by ``Origin`` and ``Host``; a client without origin is no browser.

    ``allowed`` are origins such as ``https://app.example.com``, where one ``*``
    stands for anything. While it is empty, the page must come from the host that
    it connects to, whatever the port; ``local`` lets this machine's pages in too.
    """

    allowed: tuple[str, ...]
    local: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> OriginRules:
        """Return the rules of ``ws_worker.allowed_origins`` and the environment."""
        configured = settings.ws_worker.allowed_origins
        patterns = tuple(origin.lower().rstrip("/") for origin in configured)
        return cls(patterns, local=not settings.production)

    def allows(self, origin: str | None, host: str) -> bool:
        """Whether a page of ``origin`` may talk to us under the name ``host``."""
        if origin is None or "*" in self.allowed:
            return True
        if origin == "null":
            return "null" in self.allowed
        parsed = _parse(origin)
        if parsed is None:
            return False
        if self.allowed:
            return any(_matches(parsed.text, pattern) for pattern in self.allowed)
        same_host = parsed.host == _host_name(host)
        return same_host or (self.local and parsed.host in _LOCAL_HOSTS)


def _parse(origin: str) -> _Origin | None:
    try:
        parts = urlsplit(origin.lower())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.path or parts.query or parts.fragment:
        return None
    shown = f"[{host}]" if ":" in host else host
    standard = port is None or port == _DEFAULT_PORTS.get(parts.scheme)
    suffix = "" if standard else f":{port}"
    return _Origin(f"{parts.scheme}://{shown}{suffix}", host)


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host.lower()}").hostname or ""
    except ValueError:
        return ""


def _matches(origin: str, pattern: str) -> bool:
    prefix, star, suffix = pattern.partition("*")
    if not star:
        return origin == pattern
    long_enough = len(origin) >= len(prefix) + len(suffix)
    return long_enough and origin.startswith(prefix) and origin.endswith(suffix)
