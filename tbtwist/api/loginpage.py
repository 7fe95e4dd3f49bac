"""The page that a browser sees when a login elsewhere has ended (R2.3).

It gives the tokens to the frontend: to one of this origin in ``localStorage``,
where ToolBoxV2's frontend looks for them, to any in the fragment of the address
that it goes on to. A fragment reaches no server, no log and no ``Referer``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs

from tbtwist.api.response import Headers, Response

LOGIN_PAGE: Final = "/web/assets/login.html"
_STORED_AS: Final = "tbjs_user_session"
_PATIENCE_S: Final = 2
"""How long a person has for reading why it failed."""

_SCRIPT: Final = f"""
const login = JSON.parse(document.getElementById("login").textContent);
if (login.session) {{
  try {{
    localStorage.setItem("{_STORED_AS}", JSON.stringify(login.session));
  }} catch (error) {{
    console.warn("the session cannot be stored", error);
  }}
}}
location.replace(login.target);
"""
_WORKED: Final = (
    '<script type="application/json" id="login">{login}</script>'
    "<h1>You are logged in</h1>"
    "<noscript><p>Going on from here needs JavaScript.</p></noscript>"
    "<script>{script}</script>"
)
_FAILED: Final = (
    '<meta http-equiv="refresh" content="{seconds};url={target}">'
    "<h1>The login failed</h1><p>{reason}</p>"
    '<p><a href="{target}">Back to the login</a></p>'
)
_PAGE: Final = (
    "<!doctype html>\n<html lang=en><meta charset=utf-8><title>Login</title>{inside}\n"
)


def _policy() -> str:
    digest = hashlib.sha256(_SCRIPT.encode()).digest()
    hashed = base64.b64encode(digest).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{hashed}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


_HEADERS: Final[Headers] = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _policy()),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


@attrs.frozen
class Login:
    """Who has logged in, and the application's tokens for them."""

    user_id: str
    user_name: str
    level: int
    email: str = ""
    access_token: str = attrs.field(default="", repr=False)
    refresh_token: str = attrs.field(default="", repr=False)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Login:
        """Read what the application's login functions return (R2.4)."""
        return cls(
            user_id=str(data.get("user_id") or ""),
            user_name=str(data.get("username") or data.get("user_name") or ""),
            level=data.get("level", 1),
            email=str(data.get("email") or ""),
            access_token=str(data.get("access_token") or ""),
            refresh_token=str(data.get("refresh_token") or ""),
        )

    def in_fragment(self) -> str:
        """Return what goes behind the ``#``, with the names that frontends know."""
        values = {
            "token": self.access_token,
            "refresh_token": self.refresh_token,
            "user_id": self.user_id,
            "username": self.user_name,
        }
        return urlencode(values, quote_via=quote)

    def stored(self) -> dict[str, Any]:
        """Return what ToolBoxV2's frontend keeps of a login."""
        return {
            "isAuthenticated": True,
            "token": self.access_token,
            "refreshToken": self.refresh_token,
            "userId": self.user_id,
            "username": self.user_name,
            "email": self.email,
            "userLevel": self.level,
        }


def success(login: Login, elsewhere: str) -> Response:
    """Return the page that goes on to the frontend.

    ``elsewhere`` is the frontend's origin, which must have been checked; empty if
    it is ours.
    """
    target = f"{elsewhere}{LOGIN_PAGE}#{login.in_fragment()}"
    session = None if elsewhere else login.stored()
    value = _inert(json.dumps({"target": target, "session": session}))
    return _page(_WORKED.format(login=value, script=_SCRIPT))


def failed(reason: str) -> Response:
    """Return the page that says why it failed, and goes back to the login."""
    target = f"{LOGIN_PAGE}?error={quote(reason, safe='')}"
    inside = _FAILED.format(
        seconds=_PATIENCE_S, target=escape(target), reason=escape(reason)
    )
    return _page(inside)


def _page(inside: str) -> Response:
    return Response(200, _HEADERS, _PAGE.format(inside=inside).encode())


def _inert(text: str) -> str:
    """Return JSON that ends no script element and begins no comment in HTML."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
