"""What a WebSocket client gets for what a handler returned (contract §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from tbtwist.apps.envelope import CUSTOM_ERROR, INPUT_ERROR, INTERNAL_ERROR
from tbtwist.apps.items import Message
from tbtwist.apps.result import Result
from tbtwist.errors import (
    BadArgument,
    DeadlinePassed,
    MissingArgument,
    PoolFull,
    TbtwistError,
)

Wrap = Literal["auto", "always", "never"]

_RESULT_CODES: Final = {
    INPUT_ERROR: "INPUT",
    INTERNAL_ERROR: "INTERNAL",
    CUSTOM_ERROR: "CUSTOM",
}
_ERROR_CODES: Final[Mapping[type[TbtwistError], str]] = {
    BadArgument: "BAD_ARGUMENT",
    MissingArgument: "MISSING_ARGUMENT",
    PoolFull: "BUSY",
    DeadlinePassed: "TIMEOUT",
}


@attrs.frozen
class Replies:
    """Makes messages for the client; ``request_id`` is the ``id`` it sent, or None."""

    wrap: Wrap
    request_id: Any = None

    def to(self, value: object) -> Message | None:
        """Return the answer to a message; None for no answer."""
        if isinstance(value, Result):
            if problem := self._problem(value):
                return problem
            value = value.get()
        if value is None:
            return None
        if isinstance(value, bytes | bytearray | memoryview):
            return Message.of(value)
        return self._object(value)

    def response(self, result: Result) -> Message:
        """Return the answer to a ``call``: the data, or what went wrong."""
        problem = self._problem(result)
        return problem or self._identified({"type": "response", "data": result.get()})

    def pong(self) -> Message:
        """Return the answer to a ``ping``."""
        return self._identified({"type": "pong"})

    def error(self, code: str, message: str, **more: object) -> Message:
        """Return an error as clients see it."""
        return self._identified(
            {"type": "error", "code": code, "message": message, **more}
        )

    def refused(self, error: Exception) -> Message | None:
        """Return why a call was not made, or not to its end; None: nobody's business."""
        for kind, code in _ERROR_CODES.items():
            if isinstance(error, kind):
                return self.error(code, str(error))
        return None

    def _object(self, value: object) -> Message:
        is_event = isinstance(value, Mapping) and ("type" in value or "event" in value)
        if self.wrap == "never" or (self.wrap == "auto" and is_event):
            return self._identified(value)
        return self._identified({"type": "response", "data": value})

    def _problem(self, result: Result) -> Message | None:
        if not result.is_error():
            return self._unsendable(result)
        while isinstance(result.result.data, Result):
            result = result.result.data
        code = _RESULT_CODES.get(result.outcome, "CUSTOM")
        text = result.info.help_text
        return self.error(code, text, exec_code=result.info.exec_code)

    def _unsendable(self, result: Result) -> Message | None:
        if result.result.data_type != "stream":
            return None
        return self.error("UNSUPPORTED", "A stream cannot be sent over a WebSocket")

    def _identified(self, value: object) -> Message:
        if self.request_id is not None and isinstance(value, Mapping):
            value = {"id": self.request_id, **value}
        return Message.of(value)
