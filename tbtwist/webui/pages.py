"""The page's files, which are in the package; and the headers of every answer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from tbtwist.api.response import Headers, Response

_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY: Final[Headers] = (
    ("Content-Security-Policy", _POLICY),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
"""What every answer says, whatever it is."""


def load_pages() -> Mapping[str, Response]:
    """Return every file of the page by its path; ``/`` is the page itself."""
    root = files("tbtwist.webui").joinpath("static")
    found = dict(_below(root, "/"))
    return {**found, "/": found["/index.html"]}


def _below(folder: Traversable, path: str) -> list[tuple[str, Response]]:
    found: list[tuple[str, Response]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _below(entry, f"{path}{entry.name}/")
        else:
            kind = _TYPES.get(entry.name.rpartition(".")[2])
            if kind is not None:
                answer = Response(200, (("Content-Type", kind),), entry.read_bytes())
                found.append((path + entry.name, answer))
    return found
