"""From what went wrong to the answer: one table, one form (contract §2).

Every failure is ``{"error": "<Type>", "message": "<text>"}``. Messages of 4xx
say what the client can change; 500 says nothing about our inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from tbtwist.api.response import Headers, Response
from tbtwist.apps.encoding import to_json
from tbtwist.auth.access import (
    Allowed,
    Decision,
    Forbidden,
    MethodNotAllowed,
    NeedsIdentity,
    NotExposed,
)
from tbtwist.errors import (
    BadArgument,
    BusUnavailable,
    CallTimeout,
    DeadlinePassed,
    FunctionNotFound,
    KeysUnavailable,
    MissingArgument,
    PoolFull,
    QueueFull,
    Refused,
)

_WORDS: Final[Mapping[int, str]] = {
    413: "PayloadTooLarge",
    414: "UriTooLong",
    416: "RangeNotSatisfiable",
    422: "UnprocessableEntity",
    450: "ApplicationError",
    500: "InternalError",
}
_STATUS: Final[Mapping[type[Exception], int]] = {
    MissingArgument: 400,
    FunctionNotFound: 404,
    BadArgument: 422,
    PoolFull: 503,
    QueueFull: 503,
    BusUnavailable: 503,
    KeysUnavailable: 503,
    DeadlinePassed: 504,
    CallTimeout: 504,
}
RETRY_AFTER_S: Final = 1
CHALLENGE: Final = (("WWW-Authenticate", "Bearer"),)
INTERNAL: Final = "The server could not answer this request"


def error_word(status: int) -> str:
    """Return the ``error`` of an envelope: ``NotFound`` for 404."""
    if status in _WORDS:
        return _WORDS[status]
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        return "ApplicationError"
    return "".join(c for c in phrase.title() if c.isalpha())


def envelope(status: int, message: str) -> bytes:
    """Return the body of a failure."""
    return to_json({"error": error_word(status), "message": message})


def failure(status: int, message: str, headers: Headers = ()) -> Response:
    """Return the envelope for ``status``; 503 says when to come back."""
    body = envelope(status, message)
    if status == 503:
        headers = (*headers, ("Retry-After", str(RETRY_AFTER_S)))
    return Response(status, (("Content-Type", "application/json"), *headers), body)


def from_error(error: Exception) -> Response | None:
    """Return the answer to an error that has one; None for a surprise."""
    if isinstance(error, Refused):
        return failure(error.status, error.message, error.headers)
    status = _STATUS.get(type(error))
    return None if status is None else failure(status, str(error))


def internal_error() -> Response:
    """Return the answer to a surprise; it says nothing about us."""
    return failure(500, INTERNAL)


def not_found(module: str, function: str) -> Response:
    """Return the answer for a function that is not there, or not for outside."""
    return failure(404, str(FunctionNotFound(module=module, function=function)))


def from_decision(decision: Decision, module: str, function: str) -> Response | None:
    """Return the answer to whom may not; None to whom may."""
    match decision:
        case Allowed():
            return None
        case NeedsIdentity(message):
            return failure(401, message, CHALLENGE)
        case Forbidden(message):
            return failure(403, message)
        case NotExposed():
            return not_found(module, function)
        case MethodNotAllowed(allowed):
            return method_not_allowed(allowed)


def method_not_allowed(allowed: tuple[str, ...]) -> Response:
    """Return 405, naming the methods that work."""
    names = ", ".join(allowed)
    return failure(405, f"Allowed here: {names}", (("Allow", names),))
