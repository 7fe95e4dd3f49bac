"""Where the bus' sockets are.

By default UNIX sockets in a runtime directory that only its user may enter. A
value that the configuration gives is kept as it is. For ``tcp://`` that means,
for now: without encryption and without authentication, so that every user of
the machine (or of the network, if the address is a public one) can join the
bus. Keys (CURVE) will have their place in `Endpoints`, beside the addresses.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from tbtwist.config.schema import Settings
from tbtwist.net.runtime import ensure_private, runtime_dir


@attrs.frozen
class Endpoints:
    """The broker's four addresses, as its clients and itself write them."""

    publishers: str
    """XSUB, where one publishes (5556)."""
    subscribers: str
    """XPUB, where one subscribes (5555)."""
    broker: str
    """ROUTER, for lanes, acknowledgements and calls (5557)."""
    sends: str
    """PULL, for sends to connections (5558)."""

    @classmethod
    def for_settings(cls, settings: Settings) -> Endpoints:
        """Return the configured addresses, the others in the runtime directory.

        Raises:
            DataDirUnusable: that directory cannot be made, or is somebody else's.
        """
        zmq = settings.zmq
        given = (
            zmq.sub_endpoint,
            zmq.pub_endpoint,
            zmq.req_endpoint,
            zmq.http_to_ws_endpoint,
        )
        if all(given):
            return cls(*given)
        directory = runtime_dir(Path(settings.data_dir).absolute())
        ensure_private(directory)
        inside = cls.inside(directory)
        return cls(
            *(
                there or ours
                for there, ours in zip(given, attrs.astuple(inside), strict=True)
            )
        )

    @classmethod
    def inside(cls, directory: Path) -> Endpoints:
        """Return addresses of UNIX sockets in ``directory``."""
        return cls(
            *(
                f"ipc://{directory}/{name}.sock"
                for name in ("pub", "sub", "broker", "send")
            )
        )
