"""Where the sockets are."""

from __future__ import annotations

import shutil
import stat
import tempfile
from pathlib import Path
from secrets import token_bytes

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.config import BusConfig
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.keys import FILE_NAME
from tbtwist.config.schema import HttpWorker, Settings, Zmq
from tbtwist.errors import DataDirUnusable


class EndpointTests(SynchronousTestCase):
    """Short, private, or as configured."""

    def setUp(self) -> None:
        """Start afresh."""
        self.base = Path(tempfile.mkdtemp(prefix="tbt"))
        self.addCleanup(shutil.rmtree, self.base)
        self.settings = Settings(data_dir=str(self.base))

    def test_private_by_default(self) -> None:
        """Nobody but their user reaches the sockets."""
        endpoints = Endpoints.for_settings(self.settings, token_bytes)
        self.assertEqual(endpoints.broker, f"ipc://{self.base}/run/broker.sock")
        self.assertEqual(stat.S_IMODE((self.base / "run").stat().st_mode), 0o700)

    def test_a_long_data_directory(self) -> None:
        """A long path gets a short one that a UNIX socket's name can hold."""
        long = str(self.base / ("c" * 120))
        address = Endpoints.for_settings(Settings(data_dir=long), token_bytes).broker
        self.addCleanup(Path(address.removeprefix("ipc://")).parent.rmdir)
        self.assertLessEqual(len(address.removeprefix("ipc://")), 107)

    def test_a_link_is_refused(self) -> None:
        """A link that somebody put there beforehand is not followed."""
        (self.base / "elsewhere").mkdir()
        (self.base / "run").symlink_to(self.base / "elsewhere")
        self.assertRaises(
            DataDirUnusable, Endpoints.for_settings, self.settings, token_bytes
        )

    def test_a_file_in_the_way(self) -> None:
        """What cannot be a directory is said in words."""
        (self.base / "run").write_text("")
        error = self.assertRaises(
            DataDirUnusable, Endpoints.for_settings, self.settings, token_bytes
        )
        self.assertIn(str(self.base), str(error))

    def test_configured_addresses_are_kept(self) -> None:
        """An existing configuration means what it meant; the rest is ours."""
        zmq = Zmq(
            pub_endpoint="tcp://127.0.0.1:5555", sub_endpoint="tcp://127.0.0.1:5556"
        )
        endpoints = Endpoints.for_settings(
            Settings(data_dir=str(self.base), zmq=zmq), token_bytes
        )
        self.assertEqual(endpoints.subscribers, "tcp://127.0.0.1:5555")
        self.assertEqual(endpoints.publishers, "tcp://127.0.0.1:5556")
        self.assertTrue(endpoints.sends.startswith("ipc://"))

    def test_nothing_is_made_when_all_is_configured(self) -> None:
        """Then no runtime directory is needed."""
        zmq = Zmq(
            pub_endpoint="tcp://a:1",
            sub_endpoint="tcp://a:2",
            req_endpoint="tcp://a:3",
            http_to_ws_endpoint="tcp://a:4",
        )
        endpoints = Endpoints.for_settings(
            Settings(data_dir=str(self.base), zmq=zmq), token_bytes
        )
        self.assertEqual(endpoints.sends, "tcp://a:4")
        self.assertEqual([each.name for each in self.base.iterdir()], [FILE_NAME])

    def test_tcp_needs_keys(self) -> None:
        """Nobody makes a bus that any user of the machine could join."""
        addresses = ("ipc:///a", "ipc:///b", "tcp://127.0.0.1:1", "ipc:///c")
        self.assertRaises(ValueError, Endpoints, *addresses)
        self.assertIsNone(Endpoints.inside(self.base).keys)

    def test_bounds_come_from_the_configuration(self) -> None:
        """Windows, heartbeats and marks are what the file says."""
        settings = Settings(
            zmq=Zmq(window_messages=2000, heartbeat_period_s=0.5, hwm_send=7),
            http_worker=HttpWorker(max_concurrent=3),
        )
        config = BusConfig.from_settings(settings)
        self.assertEqual(config.window_messages, 2000)
        self.assertGreater(config.queue_messages, config.window_messages)
        self.assertEqual((config.heartbeat_s, config.hwm_send), (0.5, 7))
        self.assertEqual(config.concurrency, 3)
