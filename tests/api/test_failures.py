"""Every failure has a status, a word and a sentence."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.failures import (
    error_word,
    failure,
    from_decision,
    from_error,
    internal_error,
)
from tbtwist.api.response import Response
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
    DeadlinePassed,
    MissingArgument,
    NoBus,
    PoolFull,
    Refused,
)


def parts(response: Response | None) -> tuple[int, str, str]:
    """Return status, error and message."""
    assert response is not None
    assert isinstance(response.body, bytes)
    body = json.loads(response.body)
    return response.status, body["error"], body["message"]


class WordTests(SynchronousTestCase):
    """The words of contract §2."""

    def test_words(self) -> None:
        """Each status has its word, also those that only applications use."""
        words = {
            400: "BadRequest",
            401: "Unauthorized",
            403: "Forbidden",
            404: "NotFound",
            405: "MethodNotAllowed",
            408: "RequestTimeout",
            413: "PayloadTooLarge",
            414: "UriTooLong",
            415: "UnsupportedMediaType",
            422: "UnprocessableEntity",
            429: "TooManyRequests",
            431: "RequestHeaderFieldsTooLarge",
            450: "ApplicationError",
            500: "InternalError",
            501: "NotImplemented",
            503: "ServiceUnavailable",
            504: "GatewayTimeout",
            599: "ApplicationError",
        }
        self.assertEqual({status: error_word(status) for status in words}, words)


class TableTests(SynchronousTestCase):
    """From errors and decisions to answers."""

    def test_errors(self) -> None:
        """Errors that a client can do something about keep their sentence."""
        rows: list[tuple[Exception, tuple[int, str, str]]] = [
            (MissingArgument("item"), (400, "BadRequest", "The parameter item is missing.")),
            (BadArgument("n", "not a number"), (422, "UnprocessableEntity", "n: not a number.")),
            (DeadlinePassed(30.0), (504, "GatewayTimeout", "The call did not finish within 30 s.")),
            (Refused(415, "no"), (415, "UnsupportedMediaType", "no")),
        ]  # fmt: skip
        for error, expected in rows:
            self.assertEqual(parts(from_error(error)), expected)

    def test_a_surprise_has_no_answer_of_its_own(self) -> None:
        """An error that is not in the table is an internal one, without internals."""
        self.assertIsNone(from_error(ValueError("secret")))
        self.assertIsNone(from_error(NoBus()))
        status, word, message = parts(internal_error())
        self.assertEqual((status, word), (500, "InternalError"))
        self.assertNotIn("secret", message)

    def test_busy_says_when_to_come_back(self) -> None:
        """503 carries Retry-After."""
        response = from_error(PoolFull())
        self.assertEqual(parts(response)[:2], (503, "ServiceUnavailable"))
        assert response is not None
        self.assertIn(("Retry-After", "1"), response.headers)
        self.assertNotIn("Retry-After", dict(failure(500, "x").headers))

    def test_decisions(self) -> None:
        """401 for nobody, 403 for somebody, 404 for what is hidden, 405 with Allow."""
        self.assertIsNone(from_decision(Allowed(), "M", "f"))
        rows: list[tuple[Decision, tuple[int, str, str]]] = [
            (NeedsIdentity(), (401, "Unauthorized", "Authentication required")),
            (Forbidden("no"), (403, "Forbidden", "no")),
            (NotExposed(), (404, "NotFound", "There is no function M/f.")),
            (
                MethodNotAllowed(("PUT",)),
                (405, "MethodNotAllowed", "Allowed here: PUT"),
            ),
        ]
        for decision, expected in rows:
            self.assertEqual(parts(from_decision(decision, "M", "f")), expected)
        allowed = from_decision(MethodNotAllowed(("POST", "PUT")), "M", "f")
        assert allowed is not None
        self.assertIn(("Allow", "POST, PUT"), allowed.headers)
