"""What travels over the control socket."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.control.messages import (
    MAX_MESSAGE_BYTES,
    Done,
    Failed,
    Reply,
    Request,
    StatusReply,
    StatusRequest,
    StopRequest,
    VersionReply,
    VersionRequest,
    decode_reply,
    decode_request,
    encode,
)
from tbtwist.errors import BadFrame
from tests.control.fakes import STATUS


class MessagesTests(SynchronousTestCase):
    """Encoding and decoding."""

    def test_requests(self) -> None:
        """Every request is read as it was written."""
        requests: list[Request] = [StatusRequest(), StopRequest(2.5), VersionRequest()]
        for request in requests:
            self.assertEqual(decode_request(encode(request)), request)

    def test_replies(self) -> None:
        """Every reply is read as it was written; a figure that a role lacks stays away."""
        replies: list[Reply] = [
            StatusReply(STATUS),
            Done(),
            VersionReply("0.1.0", 42),
            Failed("no"),
        ]
        for reply in replies:
            self.assertEqual(decode_reply(encode(reply)), reply)
        decoded = decode_reply(encode(StatusReply(STATUS)))
        assert isinstance(decoded, StatusReply)
        self.assertIs(decoded.status.workers[1].requests_total, msgspec.UNSET)

    def test_form(self) -> None:
        """On the wire a message is an object that names its type."""
        self.assertEqual(
            json.loads(encode(StopRequest(15))), {"type": "stop", "timeout_s": 15}
        )

    def test_newer_client(self) -> None:
        """A field that we do not know is passed over."""
        request = decode_request(b'{"type":"stop","timeout_s":1,"why":"update"}')
        self.assertEqual(request, StopRequest(1))

    def test_unknown_request(self) -> None:
        """A request that we do not know is named in the error."""
        error = self.assertRaises(BadFrame, decode_request, b'{"type":"dance"}')
        self.assertIn("dance", error.reason)

    def test_senseless_deadline(self) -> None:
        """A deadline before now is refused."""
        body = b'{"type":"stop","timeout_s":-1}'
        self.assertRaises(BadFrame, decode_request, body)

    @given(st.binary(max_size=100))
    def test_anything(self, body: bytes) -> None:
        """Whatever arrives is a message or a `BadFrame`, never another error."""
        for decode in (decode_request, decode_reply):
            try:
                decode(body)
            except BadFrame as error:
                self.assertNotEqual(error.reason, "")

    def test_too_long(self) -> None:
        """A message of more than 1 MiB is not sent."""
        self.assertRaises(BadFrame, encode, Failed("x" * MAX_MESSAGE_BYTES))
