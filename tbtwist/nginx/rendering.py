"""From a `Site` to nginx's language: the templates beside this module."""

from __future__ import annotations

import re
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from tbtwist.nginx.site import Site

_HARMLESS: Final = re.compile(r"[^\x00-\x1f\x7f\"'\\$;{}#]*\Z")


def render(site: Site) -> str:
    """Return the text of the site, to be included in nginx's ``http`` block."""
    template = _ENVIRONMENT.get_template("site.conf")
    return template.render(site=site, nginx=site.settings.nginx, **_names(site))


def _names(site: Site) -> dict[str, str]:
    """Return names for what all sites of one nginx share: variables and zones."""
    own = site.settings.nginx.upstream_http
    return {name: f"{own}_{name}" for name in ("tls", "log")}


def _harmless(value: object) -> str:
    """Let through what cannot end a word or a string; the last line of defence.

    Everything has been checked where it was read, so this is for our own mistakes.
    """
    text = str(value)
    if not _HARMLESS.match(text):
        msg = f"{text!r} would change the meaning of nginx's configuration"
        raise ValueError(msg)
    return text


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("tbtwist.nginx"),
    autoescape=False,  # noqa: S701 - this is no HTML; see _harmless
    undefined=StrictUndefined,
    finalize=_harmless,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
