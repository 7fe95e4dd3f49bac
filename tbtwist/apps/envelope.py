"""The parts of the envelope that clients see around a function's data (R1.4).

Some data types mean more to the HTTP side than "put it into the envelope":

========================  ====================================================
``data_type``             ``data``
========================  ====================================================
``html``                  the text; the status is ``exec_code``, or 200
``special_html``          ``{"html", "headers"}``
``redirect``              the URL; the status is ``exec_code``
``binary``                ``{"data", "content_type", "filename"}``
``file``                  Base64 text; ``data_info`` ends in the file's name
``file_path``             the path; ``data_info`` is ``filename=NAME``
``stream``                ``{"type": "stream", "generator", "content_type",
                          "headers", "cleanup_func"}``
========================  ====================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs

NO_ERROR: Final = "none"
INPUT_ERROR: Final = "InputError"
INTERNAL_ERROR: Final = "InternalError"
CUSTOM_ERROR: Final = "CustomError"

NATIVE: Final = "NATIVE"
REMOTE: Final = "REMOTE"
FUTURE: Final = "FUTURE"

_DOCUMENT: Final = re.compile(r"\s*<(!doctype|html)\b", re.IGNORECASE)
_UNQUOTABLE: Final = re.compile(r"[^ !#-\[\]-~]")


@attrs.frozen
class Payload:
    """The data, and what it is: ``envelope["result"]``."""

    data_to: str = NATIVE
    data_info: str = ""
    data: Any = None
    data_type: str = "NoneType"

    def as_dict(self, data: object) -> dict[str, Any]:
        """Return plain values, with ``data`` in its place."""
        return {
            "data_to": self.data_to,
            "data_info": self.data_info,
            "data": data,
            "data_type": self.data_type,
        }


@attrs.frozen
class Info:
    """How it went: ``envelope["info"]``."""

    exec_code: int = 0
    help_text: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"exec_code": self.exec_code, "help_text": self.help_text}


def special_html(text: str, data_info: str, headers: Mapping[str, str]) -> Payload:
    """Return text that goes out without the envelope, with headers of its own."""
    data = {"html": text, "headers": dict(headers)}
    return Payload(REMOTE, data_info, data, "special_html")


def page(html: str) -> str:
    """Put a fragment into ``div.main-content``; a whole document stays as it is."""
    if _DOCUMENT.match(html):
        return html
    return f'<div class="main-content">{html}</div>'


def attachment(filename: str) -> str:
    """Return a Content-Disposition for a download (RFC 6266): safe in any header."""
    plain = _UNQUOTABLE.sub("_", filename)
    if plain == filename:
        return f'attachment; filename="{plain}"'
    encoded = quote(filename, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
