"""A request to the manager as a value."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

import attrs
import msgspec

from tbtwist.errors import Refused

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@attrs.frozen
class Asked:
    """A complete request; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    address: str = ""

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method in _CHANGING

    def header(self, name: str) -> str:
        """Return a header's value; empty if it is missing."""
        return self.headers.get(name, "")

    def cookie(self, name: str) -> str:
        """Return a cookie's value; empty if it is missing or unreadable."""
        try:
            found = SimpleCookie(self.header("cookie")).get(name)
        except CookieError:
            return ""
        return "" if found is None else found.value

    def fields(self) -> Mapping[str, object]:
        """Return the JSON object in the body; nothing if there is no body.

        Raises:
            Refused: it is something else.
        """
        if not self.body:
            return {}
        try:
            return msgspec.json.decode(self.body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(400, f"The body must be a JSON object: {error}") from error
        except RecursionError as error:
            raise Refused(400, "The body is nested too deeply") from error
