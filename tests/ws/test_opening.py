"""Good opening handshakes, and the answers to others."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.opening import refuse, subprotocols
from tests.ws.fakes import UPGRADE, head


class RefuseTests(SynchronousTestCase):
    """RFC 6455, section 4.2.1, line by line."""

    def status(self, **headers: str) -> int | None:
        """Return the status for a handshake with other headers."""
        answer = refuse(head(**headers))
        return None if answer is None else answer.status

    def without(self, name: str) -> int | None:
        """Return the status for a handshake without a header."""
        kept = {key: value for key, value in UPGRADE.items() if key != name}
        answer = refuse(attrs.evolve(head(), headers=kept))
        return None if answer is None else answer.status

    def test_good(self) -> None:
        """Words are compared without case, in lists."""
        self.assertIsNone(self.status())
        self.assertIsNone(self.status(upgrade="h2c, WebSocket"))
        self.assertIsNone(self.status(connection="keep-alive, UPGRADE"))

    def test_missing(self) -> None:
        """Nothing that is required may be missing."""
        found = {name: self.without(name) for name in UPGRADE}
        self.assertEqual(
            found,
            {
                "host": 400,
                "upgrade": 426,
                "connection": 400,
                "sec-websocket-version": 426,
                "sec-websocket-key": 400,
            },
        )

    def test_another_upgrade(self) -> None:
        """Who wants something else learns what is spoken here."""
        answer = refuse(head(upgrade="h2c"))
        assert answer is not None
        self.assertEqual(answer.status, 426)
        self.assertIn(("Upgrade", "websocket"), answer.headers)

    def test_another_version(self) -> None:
        """Who speaks another version learns which one is spoken here."""
        for version in ("8", "13, 8", "", "thirteen"):
            answer = refuse(head(sec_websocket_version=version))
            assert answer is not None
            self.assertEqual(answer.status, 426, version)
            self.assertIn(("Sec-WebSocket-Version", "13"), answer.headers)

    def test_keys(self) -> None:
        """A key is 16 bytes in base64, and there is one."""
        good = UPGRADE["sec-websocket-key"]
        for key in ("", good[:-1], good + "=", f"{good}, {good}", "ä" * 22 + "=="):
            self.assertEqual(self.status(sec_websocket_key=key), 400, key)

    def test_old_http(self) -> None:
        """HTTP/1.0 knows no upgrade."""
        answer = refuse(attrs.evolve(head(), version="1.0"))
        assert answer is not None
        self.assertEqual(answer.status, 505)

    def test_bodies(self) -> None:
        """A handshake with a body could hide another request."""
        self.assertEqual(self.status(content_length="5"), 400)
        self.assertEqual(self.status(transfer_encoding="chunked"), 400)
        self.assertIsNone(self.status(content_length="0"))

    def test_two_hosts(self) -> None:
        """Which host is meant must be certain."""
        self.assertEqual(self.status(host="a, b"), 400)

    def test_subprotocols(self) -> None:
        """Offered names are different ones."""
        self.assertIsNone(self.status(sec_websocket_protocol="a, b"))
        self.assertEqual(self.status(sec_websocket_protocol="a, a"), 400)
        self.assertEqual(self.status(sec_websocket_protocol=""), 400)
        self.assertEqual(self.status(sec_websocket_protocol="a b"), 400)
        self.assertEqual(subprotocols(head(sec_websocket_protocol="a ,b")), ["a", "b"])
        self.assertEqual(subprotocols(head()), [])
