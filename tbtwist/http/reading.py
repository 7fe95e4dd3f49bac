"""What a client sends, cut into heads and bodies. Pure: bytes in, values out."""

from __future__ import annotations

import re
from typing import Final

from tbtwist.api.bodies import too_large
from tbtwist.http.framing import Counted, Framing, framing
from tbtwist.http.limits import Limits
from tbtwist.http.parsing import Head, check_unfinished, read_head

_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")
_NOTHING: Final = Counted(0)


class Reader:
    """Holds what has come and was not asked for yet.

    `head` and `body` raise `Refused` when there is no telling any more what the
    bytes mean; nothing that comes afterwards can be read.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._inbox = b""
        self._searched = 0
        self._body: Framing = _NOTHING
        self._body_limit = 0
        self._body_bytes = 0

    def __len__(self) -> int:
        return len(self._inbox)

    def add(self, data: bytes) -> None:
        """Keep what came."""
        self._inbox = self._inbox + data if self._inbox else data

    def clear(self) -> None:
        """Forget everything."""
        self._inbox = b""

    def head(self) -> Head | None:
        """Return the next head; None: it is not complete yet."""
        blank = _EMPTY_LINES.match(self._inbox)
        if blank is not None:  # RFC 9112 §2.2
            self._inbox = self._inbox[blank.end() :]
        inbox = self._inbox
        end = inbox.find(b"\r\n\r\n", self._searched)
        if end < 0:
            check_unfinished(inbox, self._limits, self._searched)
            self._searched = max(len(inbox) - 3, 0)
            return None
        self._searched = 0
        self._inbox = inbox[end + 4 :]
        return read_head(inbox[: end + 4], self._limits)

    def expect_body(self, length: int, limit: int) -> None:
        """Take what comes next for a body of ``length``, `CHUNKED` for one in chunks.

        Raises:
            Refused: 413, it is larger than ``limit``.
        """
        if length > limit:
            raise too_large(limit)
        self._body = framing(length)
        self._body_limit = limit
        self._body_bytes = 0

    def body(self) -> bytes:
        """Return the part of the body that has come.

        Raises:
            Refused: 400, or 413 for one that got too large.
        """
        data, self._inbox = self._body.take(self._inbox)
        self._body_bytes += len(data)
        if self._body_bytes > self._body_limit:
            raise too_large(self._body_limit)
        return data

    @property
    def body_is_complete(self) -> bool:
        """Whether there is no more of the body to come."""
        return self._body.done
