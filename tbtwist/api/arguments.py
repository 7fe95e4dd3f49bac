"""The arguments of a module call: query, form, JSON, files, in this order (R1.3).

Later ones win.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from tbtwist.api.bodies import read_fields
from tbtwist.api.request import Fields, Files, Request

FILES: Final = "files"
REQUEST: Final = "request"


@attrs.frozen
class Arguments:
    """What a request carries, taken apart. ``json`` UNSET: there was none."""

    query: Fields
    form: Fields
    json: Any
    files: Files

    def as_kwargs(self) -> dict[str, Any]:
        """Return keyword arguments; JSON counts if it is an object.

        ``files`` is what was uploaded, if anything was. ``request`` is ours to
        give: a client's parameter of that name reaches no function.
        """
        named = self.json if isinstance(self.json, Mapping) else {}
        kwargs = {**self.query, **self.form, **named}
        kwargs.pop(REQUEST, None)
        if self.files:
            kwargs[FILES] = dict(self.files)
        return kwargs


def read_arguments(request: Request, max_fields: int) -> Arguments:
    """Take a request's arguments apart; `Refused` with 400 for too many."""
    parsed = request.parsed
    query = read_fields(request.query, "query", max_fields) if request.query else {}
    return Arguments(query, parsed.form, parsed.json, parsed.files)
