"""Where the bus' sockets are.

By default UNIX sockets in a runtime directory that only its user may enter. A
value that the configuration gives is kept as it is. Behind a TCP address, loopback
included, both sides need the bus' keys (`BusKeys`).
"""

from __future__ import annotations

from pathlib import Path

import attrs

from tbtwist.bus.keys import BusKeys
from tbtwist.config.schema import Settings
from tbtwist.identity import RandomBytes
from tbtwist.net.runtime import PEER_PREFIX, ensure_private, runtime_dir


@attrs.frozen
class Endpoints:
    """The broker's four addresses, as its clients and itself write them.

    Raises:
        ValueError: one of them is on TCP, and there are no ``keys``.
    """

    publishers: str
    """XSUB, where one publishes (5556)."""
    subscribers: str
    """XPUB, where one subscribes (5555)."""
    broker: str
    """ROUTER, for lanes, acknowledgements and calls (5557)."""
    sends: str
    """PULL, for sends to connections (5558)."""
    keys: BusKeys | None = attrs.field(default=None, kw_only=True)
    """What both sides need on TCP."""

    peers: Path | None = attrs.field(default=None, kw_only=True)
    """The directory in which workers are reached without the broker, if they are."""

    def peer(self, identity: str) -> str:
        """Return the address of a worker's own socket; empty if it has none."""
        return f"ipc://{self.peers}/{PEER_PREFIX}{identity}" if self.peers else ""

    def __attrs_post_init__(self) -> None:
        if self.keys is None and any(map(is_public, self.addresses)):
            msg = "a bus on TCP needs keys"
            raise ValueError(msg)

    @property
    def addresses(self) -> tuple[str, str, str, str]:
        """Return all four."""
        return self.publishers, self.subscribers, self.broker, self.sends

    @classmethod
    def for_settings(cls, settings: Settings, random: RandomBytes) -> Endpoints:
        """Return the configured addresses, the others in the runtime directory.

        Raises:
            DataDirUnusable: that directory cannot be made, or is somebody else's.
            BusKeysUnusable: an address is on TCP, and the keys cannot be had.
        """
        zmq = settings.zmq
        given = (
            zmq.sub_endpoint,
            zmq.pub_endpoint,
            zmq.req_endpoint,
            zmq.http_to_ws_endpoint,
        )
        data_dir = Path(settings.data_dir).absolute()
        public = any(is_public(each) for each in given if each)
        keys = BusKeys.load(data_dir, random) if public else None
        if all(given):
            return cls(*given, keys=keys)
        directory = runtime_dir(data_dir)
        ensure_private(directory)
        ours = cls.inside(directory).addresses
        mixed = [there or here for there, here in zip(given, ours, strict=True)]
        peers = None if is_public(mixed[2]) else directory
        return cls(*mixed, keys=keys, peers=peers)

    @classmethod
    def inside(cls, directory: Path) -> Endpoints:
        """Return addresses of UNIX sockets in ``directory``."""
        names = ("pub", "sub", "broker", "send")
        addresses = (f"ipc://{directory}/{name}.sock" for name in names)
        return cls(*addresses, peers=directory)


def is_public(address: str) -> bool:
    """Whether more than the file system's permissions must guard ``address``."""
    return not address.startswith(("ipc://", "inproc://"))
