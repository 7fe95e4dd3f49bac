"""The files that ``ipc://`` sockets leave behind: libzmq does not remove them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

_IPC: Final = "ipc://"


@attrs.frozen
class SocketFile:
    """The file of a socket that this process has bound: its name, and which file."""

    path: Path
    device: int
    inode: int

    @classmethod
    def at(cls, address: str) -> SocketFile | None:
        """Return the file of a socket just bound to ``address``, if that has one."""
        path = Path(address.removeprefix(_IPC))
        if not address.startswith(_IPC) or not path.is_socket():
            return None
        facts = path.lstat()
        return cls(path, facts.st_dev, facts.st_ino)

    def remove(self) -> None:
        """Remove the file, unless another process has put its own there."""
        try:
            facts = self.path.lstat()
        except FileNotFoundError:
            return
        if (facts.st_dev, facts.st_ino) == (self.device, self.inode):
            self.path.unlink(missing_ok=True)
