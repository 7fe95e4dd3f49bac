"""What the nginx site says, as values (contract §7)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final

import attrs

from tbtwist.api.failures import error_word
from tbtwist.config.catalog import FIELDS, disassemble
from tbtwist.config.expectations import fits, in_words
from tbtwist.config.schema import NginxPath, Settings
from tbtwist.errors import ConfigError, ConfigProblem

HTTP2_DIRECTIVE: Final = (1, 25, 1)
"""Since this version HTTP/2 is a directive of its own."""
SESSION_PATHS: Final = (
    "/validateSession",
    "/IsValidSession",
    "/web/logoutS",
    "/api_user_data",
    "/auth/discord/url",
    "/auth/discord/callback",
    "/auth/google/url",
    "/auth/google/callback",
    "/auth/magic/verify",
)
"""Paths with the stricter limit: who guesses tokens comes here."""
OWN_FAILURES: Final[Mapping[int, str]] = {
    413: "The body is too large",
    429: "Rate limit exceeded",
    502: "No worker could answer",
    503: "No worker is there",
    504: "No worker answered in time",
}
_LONGEST_SILENCE_S: Final = 3600
_IDLE_MARGIN_S: Final = 5
_HTTPS_PORT: Final = 443
_ABSOLUTE: Final = (
    *("nginx.static_root", "nginx.ssl_certificate", "nginx.ssl_certificate_key"),
)


@attrs.frozen
class OwnFailure:
    """What nginx answers by itself, in the workers' form."""

    status: int
    word: str
    message: str


@attrs.frozen(kw_only=True)
class Site:
    """The values that the templates show; make it with `site_of`.

    ``http`` and ``ws`` are the workers' addresses as ``host:port``.
    """

    settings: Settings
    http: Sequence[str]
    ws: Sequence[str] = ()
    nginx_version: tuple[int, ...] = ()
    ipv6: bool = True

    @property
    def http2_directive(self) -> bool:
        """Whether HTTP/2 is switched on by a directive of its own."""
        return self.nginx_version >= HTTP2_DIRECTIVE

    @property
    def prefix(self) -> str:
        """Return the API's path without a slash at its end."""
        return self.settings.toolbox.api_prefix.rstrip("/")

    @property
    def session_paths(self) -> Sequence[str]:
        """Return the paths with the stricter limit."""
        return SESSION_PATHS

    @property
    def mounts(self) -> Sequence[str]:
        """Return the paths that WSGI applications have, without the root."""
        return sorted(path for path in self._mounts() if path)

    @property
    def root_is_mounted(self) -> bool:
        """Whether an application has what nobody else has."""
        return "" in self._mounts()

    def _mounts(self) -> Sequence[str]:
        return [path.rstrip("/") for path in self.settings.toolbox.wsgi_mounts]

    @property
    def static(self) -> bool:
        """Whether nginx serves files."""
        nginx = self.settings.nginx
        return nginx.static_enabled and bool(nginx.static_root)

    @property
    def failures(self) -> Iterator[OwnFailure]:
        """Return what nginx answers by itself."""
        for status, message in OWN_FAILURES.items():
            yield OwnFailure(status, error_word(status), message)

    @property
    def silence_s(self) -> int:
        """Return how long a worker may be silent.

        Streams and WebSockets may be for long; a worker that hangs is ended by its
        manager, and a call by the worker's own deadline.
        """
        http, ws = self.settings.http_worker, self.settings.ws_worker
        own = max(http.timeout, 2 * (ws.ping_interval + ws.ping_timeout))
        return max(_LONGEST_SILENCE_S, math.ceil(own))

    @property
    def idle_s(self) -> int:
        """Return how long connections to workers stay idle: we close them first."""
        return max(1, math.floor(self.settings.http_worker.keepalive) - _IDLE_MARGIN_S)

    @property
    def header_timeout_s(self) -> int:
        """Return how long a client may take for its headers."""
        return math.ceil(self.settings.http_worker.header_timeout_s)

    @property
    def https_port(self) -> str:
        """Return what follows the host in the address of the HTTPS site."""
        port = self.settings.nginx.listen_ssl_port
        return "" if port == _HTTPS_PORT else f":{port}"


def site_of(site: Site, origins: Mapping[str, str]) -> Site:
    """Return ``site`` if it can be written in nginx's language.

    ``origins`` tells where each setting stands.

    Raises:
        ConfigError: with every setting that cannot, named.
    """
    found = (*_misfits(site), *_paths(site), *_certificates(site), *_clashes(site))
    if found:
        problems = (
            ConfigProblem(origins.get(key.split("[")[0], "configuration"), key, text)
            for key, text in found
        )
        raise ConfigError(tuple(problems))
    return site


def _misfits(site: Site) -> Iterator[tuple[str, str]]:
    """Settings that did not come from a file have not been checked before."""
    for key, value in disassemble(site.settings).items():
        kind = FIELDS[key].type
        if key.startswith("nginx.") and not fits(value, kind):
            yield key, f"expected {in_words(kind)}"


def _paths(site: Site) -> Iterator[tuple[str, str]]:
    values = disassemble(site.settings)
    for key in _ABSOLUTE:
        if values[key] and not PurePath(str(values[key])).is_absolute():
            yield key, "expected an absolute path"
    toolbox = site.settings.toolbox
    if not site.prefix.startswith("/") or not _is_word(site.prefix):
        yield "toolbox.api_prefix", "expected a path like /api"
    if not _is_word(toolbox.auth_module):
        yield "toolbox.auth_module", "expected the name of a module"
    for path in toolbox.wsgi_mounts:
        if not path.startswith("/") or not _is_word(path):
            yield f"toolbox.wsgi_mounts[{path!r}]", "expected a path like /shop"


def _is_word(text: str) -> bool:
    return fits(text, NginxPath) and not any(map(str.isspace, text))


def _certificates(site: Site) -> Iterator[tuple[str, str]]:
    if not site.settings.nginx.ssl_enabled:
        return
    for name in ("ssl_certificate", "ssl_certificate_key"):
        if not getattr(site.settings.nginx, name):
            yield f"nginx.{name}", "expected a file: nginx.ssl_enabled is true"


def _clashes(site: Site) -> Iterator[tuple[str, str]]:
    nginx = site.settings.nginx
    if not site.http:
        yield "http_worker.workers", "expected at least one for nginx to ask"
    if nginx.upstream_http == nginx.upstream_ws:
        yield "nginx.upstream_ws", "expected another name than nginx.upstream_http"
    if nginx.rate_limit_zone in {nginx.upstream_http, nginx.upstream_ws}:
        yield "nginx.rate_limit_zone", "expected another name than the upstreams have"
    for path in {"/ws", *SESSION_PATHS}.intersection(site.mounts):
        yield f"toolbox.wsgi_mounts[{path!r}]", "expected a path that is not ours"
