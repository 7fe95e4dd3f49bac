"""Files with secrets: made once, by whoever needs them first, and read by nobody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from tbtwist.errors import PrivateFileUnusable
from tbtwist.identity import RandomBytes


def kept(path: Path, make: Callable[[], bytes], random: RandomBytes) -> bytes:
    """Return the content of ``path``; if it is not there, ``make`` says what it is.

    Processes that start at the same moment get the same content.

    Raises:
        PrivateFileUnusable: it cannot be read or made, or others may read it.
    """
    try:
        if not path.exists():
            _put(path, make(), random)
        if path.is_symlink() or not path.is_file():
            raise PrivateFileUnusable(path=str(path), reason="is not a plain file")
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            reason = "is open to others; chmod 600 it"
            raise PrivateFileUnusable(path=str(path), reason=reason)
        return path.read_bytes()
    except OSError as error:
        reason = f"cannot be used: {error.strerror}"
        raise PrivateFileUnusable(path=str(path), reason=reason) from error


def _put(path: Path, content: bytes, random: RandomBytes) -> None:
    """Put a file at ``path`` in one step, or leave what is there by then."""
    draft = path.with_name(f"{path.name}.{random(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        _link(draft, path)
    finally:
        draft.unlink()


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return  # another process was faster: its secret is ours as well
