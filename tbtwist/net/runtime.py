"""Where a data directory's UNIX sockets are: names that fit into an address.

A UNIX socket's name ends at 107 bytes. A long data directory therefore gets a
private directory with a short, hashed name beside it; which one depends on
nothing but the data directory and the user, so that every process finds it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from tbtwist.errors import DataDirUnusable

PEER_PREFIX: Final = "peer-"
"""How the names of workers' own sockets begin; their identity follows."""

_LONGEST_ADDRESS: Final = 107
_ROOM_FOR_A_NAME: Final = 40
_SHORT_ROOT: Final = Path("/tmp")  # noqa: S108 - ours are 0700 and checked to be ours


def socket_path(data_dir: Path, name: str) -> Path:
    """Return where the socket ``name`` of ``data_dir`` is; at most 107 bytes."""
    direct = data_dir / name
    if len(os.fsencode(direct)) <= _LONGEST_ADDRESS:
        return direct
    return _short_dir(data_dir) / name


def runtime_dir(data_dir: Path) -> Path:
    """Return the directory for sockets of ``data_dir`` with names up to 40 bytes."""
    direct = data_dir / "run"
    if len(os.fsencode(direct)) + _ROOM_FOR_A_NAME <= _LONGEST_ADDRESS:
        return direct
    return _short_dir(data_dir)


def _short_dir(data_dir: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return _SHORT_ROOT / f"{_short_prefix()}{digest}"


def _short_prefix() -> str:
    return f"tbtwist-{os.getuid()}-"


def ensure_socket_dir(path: Path) -> None:
    """Make the directory of a `socket_path` if it is one with a hashed name.

    Raises:
        DataDirUnusable: as `ensure_private`.
    """
    directory = path.parent
    if directory.parent == _SHORT_ROOT and directory.name.startswith(_short_prefix()):
        ensure_private(directory)


def ensure_private(directory: Path) -> None:
    """Make ``directory`` if need be, for nobody but this user.

    Raises:
        DataDirUnusable: it cannot be made, or somebody else made it.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = directory.lstat()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataDirUnusable(path=str(directory), reason=reason) from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise DataDirUnusable(path=str(directory), reason="it belongs to somebody else")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        directory.chmod(0o700)
