"""Bodies that are too large are refused early, politely, and for good."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.http.memory import MemoryServer, limited, request_bytes


class BodyLimitTests(SynchronousTestCase):
    """Bodies over the limit (T1)."""

    def setUp(self) -> None:
        """Start a server that takes ten bytes."""
        self.server = MemoryServer(limited(max_body_bytes=10))
        self.connection = self.server.connect()

    def announce(self, length: int, **headers: str) -> None:
        """Send the head of a request with a body."""
        fields = {"Content-Length": str(length), **headers}
        self.connection.send(request_bytes("POST", "/api/Open/echo", fields))

    def assert_refused(self) -> None:
        """The client has got a 413 and knows that this is the end."""
        (reply,) = self.connection.replies()
        self.assertEqual((reply.status, reply.reason), (413, "Content Too Large"))
        self.assertEqual(reply.json["error"], "PayloadTooLarge")
        self.assertEqual(reply.header("Connection"), "close")

    def test_at_the_limit(self) -> None:
        """A body of exactly the limit is taken."""
        self.announce(10)
        self.connection.send(b"x" * 10)
        self.assertEqual(self.connection.replies()[0].status, 200)

    def test_announced(self) -> None:
        """A body that is announced as too large is refused before it comes."""
        self.announce(11)
        self.assert_refused()
        self.assertTrue(self.connection.transport.half_closed)
        self.assertEqual(self.server.health.in_flight, 0)
        self.connection.send(b"x" * 11)
        self.assertEqual(self.connection.transport.value(), b"")

    def test_no_go_ahead(self) -> None:
        """A client that asks first is not told to go ahead."""
        self.announce(11, Expect="100-continue")
        self.assert_refused()

    def test_go_ahead(self) -> None:
        """A client that asks first with a small body is."""
        self.announce(5, Expect="100-continue")
        raw = self.connection.transport.value()
        self.assertEqual(raw, b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_chunked(self) -> None:
        """Chunks are counted."""
        headers = {"Transfer-Encoding": "chunked"}
        self.connection.send(request_bytes("POST", "/api/Open/echo", headers))
        self.connection.send(b"6\r\nxxxxxx\r\n")
        self.assertEqual(self.connection.replies(), [])
        self.connection.send(b"6\r\nxxxxxx\r\n")
        self.assert_refused()

    def test_a_client_that_goes_on_for_ever(self) -> None:
        """We do not listen to a refused body for long."""
        self.announce(10**12)
        self.assert_refused()
        self.connection.send(b"x" * 1000)
        self.server.reactor.advance(1.9)
        self.assertFalse(self.connection.transport.aborted)
        self.server.reactor.advance(0.6)
        self.assertTrue(self.connection.transport.aborted)
        self.connection.send(b"x" * 1000)
        self.connection.leave()
        self.assertEqual(self.server.left_behind(), [])

    def test_a_client_that_leaves(self) -> None:
        """A client that leaves after the refusal leaves nothing behind."""
        self.announce(11)
        self.connection.leave()
        self.assertEqual(self.server.health.in_flight, 0)
        self.assertEqual(self.server.left_behind(), [])

    def test_the_next_connection_works(self) -> None:
        """A refusal concerns that connection alone."""
        self.announce(11)
        self.assertEqual(self.server.ask("GET", "/health").status, 200)

    def test_forms_are_not_parsed_on_the_way(self) -> None:
        """Twisted's own multipart parser never sees a body (T2)."""
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        reply = self.server.ask("POST", "/api/Open/echo", headers, b"--broken")
        self.assertEqual(reply.status, 400)
