"""Whether a request head is a good opening handshake (RFC 6455, section 4.2.1).

Pure. What is not gets an HTTP answer that says why. Autobahn would find most of
it too, but answers another version with 400, and does not mind a body.
"""

from __future__ import annotations

import re
from typing import Final

from tbtwist.ws.handshake import Answer, Head, refusal

VERSION: Final = "13"
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==\Z")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_UPGRADE: Final = (("Upgrade", "websocket"), ("Connection", "Upgrade, close"))
_OTHER_VERSION: Final = (("Sec-WebSocket-Version", VERSION), *_UPGRADE)


def refuse(head: Head) -> Answer | None:
    """Return the answer to a head that cannot open a WebSocket; None if it can."""
    headers = head.headers
    if not head.wants_websocket:
        return refusal(426, "This address speaks WebSocket only.", _UPGRADE)
    if head.version != "1.1":
        return refusal(505, "A WebSocket is opened with HTTP/1.1.")
    if "upgrade" not in words(headers.get("connection", "")):
        return refusal(400, "The Connection header does not say Upgrade.")
    if headers.get("sec-websocket-version") != VERSION:
        told = "The WebSocket version must be 13."
        return refusal(426, told, _OTHER_VERSION)
    wrong = _wrong_fields(head)
    return refusal(400, wrong) if wrong else None


def _wrong_fields(head: Head) -> str | None:
    headers = head.headers
    if not headers.get("host") or "," in headers["host"]:
        return "There must be one Host header."
    if not _KEY.match(headers.get("sec-websocket-key", "")):
        return "Sec-WebSocket-Key must be 16 bytes in base64."
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return "A handshake has no body."
    offered = subprotocols(head)
    if len(set(offered)) < len(offered) or not all(map(_TOKEN.match, offered)):
        return "Sec-WebSocket-Protocol must be different names."
    return None


def subprotocols(head: Head) -> list[str]:
    """Return the subprotocols that the client offers, in its order."""
    offered = head.headers.get("sec-websocket-protocol")
    return [] if offered is None else [name.strip() for name in offered.split(",")]


def words(field: str) -> list[str]:
    """Return the words of a header that is a list, in lower case."""
    return [word.strip().lower() for word in field.split(",")]
