"""Sites for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tbtwist.config.catalog import FIELDS, assemble
from tbtwist.nginx.rendering import render
from tbtwist.nginx.site import Site, site_of

HTTP = ("127.0.0.1:8000", "127.0.0.1:8001")
WS = ("127.0.0.1:8010",)


def text_of(values: Mapping[str, object] | None = None, **more: Any) -> str:
    """Return the site for settings by dotted key, and anything else of a `Site`."""
    given = {"http": HTTP, "ws": WS, **more}
    site = Site(settings=assemble(values or {}), **given)
    origins = {key: f"c.yaml:{line}:1" for line, key in enumerate(FIELDS, 1)}
    return render(site_of(site, origins))


def block(text: str, opening: str) -> str:
    """Return what stands between ``opening {`` and the brace that closes it."""
    rest = text.split(f"{opening} {{\n", 1)[1]
    depth, end = 1, 0
    while depth:
        depth += {"{": 1, "}": -1}.get(rest[end], 0)
        end += 1
    return rest[: end - 1]
