"""The arguments of a module call: query, then form, then JSON (R1.3).

Later ones win. Multipart uploads are refused with a sentence.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

import attrs
import msgspec

from tbtwist.api.request import Request
from tbtwist.errors import Refused

Fields = dict[str, Any]
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
MAX_FIELDS: Final = 1000


@attrs.frozen
class Arguments:
    """What a request carries, taken apart. ``json`` None: there was none."""

    query: Fields
    form: Fields
    json: Any = None

    def as_kwargs(self) -> Fields:
        """Return keyword arguments; JSON counts if it is an object."""
        named = self.json if isinstance(self.json, dict) else {}
        return {**self.query, **self.form, **named}


def read_arguments(request: Request) -> Arguments:
    """Take a request's arguments apart.

    Raises:
        Refused: 400 for what cannot be read, 415 for a multipart body.
    """
    kind = request.content_type
    if kind == MULTIPART and request.body:
        raise Refused(415, "Multipart uploads are not supported; send JSON or a form")
    query = _fields(request.query, "query")
    form: Fields = {}
    if kind == FORM:
        form = _fields(request.body.decode("utf-8", "replace"), "form")
    return Arguments(query, form, _json(request.body) if _is_json(kind) else None)


def _fields(text: str, what: str) -> Fields:
    """Return each name with its value, or with the list of its values."""
    try:
        parsed = parse_qs(
            text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace"
        )
    except ValueError as error:
        message = f"The {what} has more than {MAX_FIELDS} fields"
        raise Refused(400, message) from error
    return {k: v[0] if len(v) == 1 else v for k, v in parsed.items()}


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _json(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        message = f"The JSON is not UTF-8 (byte {error.start})"
        raise Refused(400, message) from error
    except RecursionError as error:
        raise Refused(400, "The JSON is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise Refused(400, _where(str(error), len(body))) from error


def _where(reason: str, length: int) -> str:
    """Return a sentence that names the position also when the decoder does not."""
    reason = reason.removeprefix("JSON is malformed: ")
    position = "" if "(byte " in reason else f" (byte {length})"
    return f"The JSON is malformed: {reason}{position}"
