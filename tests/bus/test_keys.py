"""The keys of a bus on TCP."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from secrets import token_bytes

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.keys import FILE_NAME, BusKeys
from tbtwist.config.schema import Settings, Zmq
from tbtwist.errors import BusKeysUnusable


class KeysTests(SynchronousTestCase):
    """Made once, kept private."""

    def setUp(self) -> None:
        """Make a data directory."""
        self.data_dir = Path(tempfile.mkdtemp(prefix="tbt"))
        self.addCleanup(shutil.rmtree, self.data_dir)
        self.file = self.data_dir / FILE_NAME

    def load(self) -> BusKeys:
        """Load or make."""
        return BusKeys.load(self.data_dir, token_bytes)

    def refused(self) -> str:
        """Return why they cannot be used."""
        return str(self.assertRaises(BusKeysUnusable, self.load))

    def test_made_once(self) -> None:
        """All workers of a data directory have the same keys, and nobody else."""
        keys = self.load()
        self.assertEqual(self.load(), keys)
        self.assertNotEqual(keys.broker, keys.worker)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.file.unlink()
        self.assertNotEqual(self.load(), keys)

    def test_open_to_others(self) -> None:
        """Keys that others can read are refused, with what to do about it."""
        self.load()
        self.file.chmod(0o640)
        self.assertIn("chmod 600", self.refused())

    def test_damaged(self) -> None:
        """A file that holds no keys is refused, with what to do about it."""
        for text in (b"", b"{}", b"\xff", b'{"broker": "AA==", "worker": "AA=="}'):
            self.file.write_bytes(text)
            self.file.chmod(0o600)
            self.assertIn("remove it", self.refused())

    def test_no_place(self) -> None:
        """A data directory that is not there is said in words."""
        shutil.rmtree(self.data_dir)
        self.assertIn("No such file", self.refused())
        self.data_dir.mkdir()

    def test_not_shown(self) -> None:
        """A key is in no log and in no traceback."""
        keys = self.load()
        endpoints = Endpoints(
            "tcp://a:1", "tcp://a:2", "tcp://a:3", "tcp://a:4", keys=keys
        )
        for shown in (repr(keys), str(keys), repr(endpoints)):
            self.assertNotIn(repr(keys.broker)[2:-1], shown)
            self.assertNotIn(repr(keys.worker)[2:-1], shown)

    def test_only_where_there_is_tcp(self) -> None:
        """A bus on UNIX sockets needs none; one TCP address is enough to need them."""
        settings = Settings(data_dir=str(self.data_dir))
        self.assertIsNone(Endpoints.for_settings(settings, token_bytes).keys)
        self.assertFalse(self.file.exists())
        zmq = Zmq(req_endpoint="tcp://127.0.0.1:5557")
        settings = Settings(data_dir=str(self.data_dir), zmq=zmq)
        endpoints = Endpoints.for_settings(settings, token_bytes)
        self.assertEqual(endpoints.keys, self.load())
