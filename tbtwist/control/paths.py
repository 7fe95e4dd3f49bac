"""Where the control socket is."""

from __future__ import annotations

from pathlib import Path

from tbtwist.net.runtime import socket_path


def path_for(data_dir: Path) -> Path:
    """Return the control socket of ``data_dir``; short enough for an address.

    That is ``control.sock`` in it, or, where the directory's name is too long, in a
    private directory with a hashed name.
    """
    return socket_path(data_dir, "control.sock")
