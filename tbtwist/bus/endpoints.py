"""Where the bus' sockets are.

By default UNIX sockets in a runtime directory that only its user may enter. A
value that the configuration gives is kept as it is. For ``tcp://`` that means,
for now: without encryption and without authentication, so that every user of
the machine (or of the network, if the address is a public one) can join the
bus. Keys (CURVE) will have their place in `Endpoints`, beside the addresses.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

import attrs

from tbtwist.config.schema import Settings
from tbtwist.errors import DataDirUnusable

MAX_PATH_BYTES: Final = 100
"""UNIX socket names end at 107 bytes; some room for libzmq."""

_LONGEST: Final = "broker.sock"
_PRIVATE_MODE: Final = 0o700


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
    def for_settings(
        cls, settings: Settings, environ: Mapping[str, str] | None = None
    ) -> Endpoints:
        """Return the configured addresses, the others in the runtime directory."""
        zmq = settings.zmq
        given = (
            zmq.sub_endpoint,
            zmq.pub_endpoint,
            zmq.req_endpoint,
            zmq.http_to_ws_endpoint,
        )
        if all(given):
            return cls(*given)
        inside = cls.inside(runtime_dir(Path(settings.data_dir), environ or {}))
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


def runtime_dir(data_dir: Path, environ: Mapping[str, str]) -> Path:
    """Return the directory for sockets, made if need be, closed to other users.

    ``run`` in the data directory; where that path is too long for a UNIX socket,
    one with a hashed name under ``XDG_RUNTIME_DIR`` or the temporary directory.

    Raises:
        DataDirUnusable: it cannot be made, or is somebody else's.
    """
    wanted = data_dir.absolute() / "run"
    if len(os.fsencode(wanted / _LONGEST)) > MAX_PATH_BYTES:
        digest = blake2b(os.fsencode(wanted), digest_size=8).hexdigest()
        base = environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        wanted = Path(base) / f"tbtwist-{digest}"
    try:
        wanted.mkdir(mode=_PRIVATE_MODE, parents=True, exist_ok=True)
        facts = wanted.lstat()
        if not wanted.is_dir() or wanted.is_symlink() or facts.st_uid != os.getuid():
            raise DataDirUnusable(
                path=str(wanted), reason="it belongs to somebody else"
            )
        wanted.chmod(_PRIVATE_MODE)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataDirUnusable(path=str(wanted), reason=reason) from error
    return wanted
