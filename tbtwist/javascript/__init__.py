"""The JavaScript client: a file that the workers serve at ``/tbtwist.js``."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import attrs

PATH: Final = "/tbtwist.js"
FOLDER: Final = Path(__file__).parent


@attrs.frozen
class Script:
    """The client, and the headers that go with it.

    ``no-cache``: browsers keep it and ask whether it is still the same, so that a page
    has the client of the server that it talks to.
    """

    body: bytes = attrs.field(repr=False)
    etag: str

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return its headers, whoever serves it."""
        return (
            ("Content-Type", "text/javascript; charset=utf-8"),
            ("Cache-Control", "public, no-cache"),
            ("ETag", self.etag),
            ("X-Content-Type-Options", "nosniff"),
        )


@cache
def script() -> Script:
    """Return the client, read once."""
    body = (FOLDER / "tbtwist.js").read_bytes()
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    return Script(body, f'"{digest}"')
