"""Uploaded files, and the folder that they wait in (contract §2).

A file of up to 64 KiB stays in memory, a larger one is on disk. Either is there
for as long as its request is answered: who wants to keep one calls `save_to`.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import attrs
from typing_extensions import override

KIB64: Final = 64 * 1024


class UploadFolder:
    """Where this process keeps uploads: a folder of its own below a shared one.

    The kernel drops a process's lock on its folder however the process ends, so
    `sweep` knows which folders nobody needs any more. For any thread.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count(1)
        self._own: Path | None = None
        self._lock = -1
        self._claiming = threading.Lock()

    def new_path(self) -> Path:
        """Return a path where nothing is yet."""
        with self._claiming:
            if self._own is None:
                self._own = self._claim()
            return self._own / f"{next(self._numbers):08}.upload"

    def _claim(self) -> Path:
        with _locked(self._root):
            own = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._root))
            self._lock = _take(own)
        return own

    def sweep(self) -> None:
        """Remove what processes left behind that have ended."""
        with _locked(self._root):
            for folder in self._root.iterdir():
                if folder.is_dir() and folder != self._own:
                    _remove_abandoned(folder)

    def close(self) -> None:
        """Remove this process's folder."""
        own, self._own = self._own, None
        if own is not None:
            shutil.rmtree(own, ignore_errors=True)
            os.close(self._lock)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keep others from sweeping a folder that is about to be locked."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _take(folder: Path) -> int:
    """Lock ``folder``; OSError if another process has."""
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):
        lock = _take(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@attrs.define(eq=False)
class Spool:
    """Bytes that come in pieces: in memory up to ``memory_bytes``, then in a file."""

    _folder: UploadFolder
    _memory_bytes: int = KIB64
    size: int = attrs.field(default=0, init=False)
    _memory: bytearray = attrs.field(factory=bytearray, init=False)
    _path: Path | None = attrs.field(default=None, init=False)
    _file: BinaryIO | None = attrs.field(default=None, init=False)
    _kept: bool = attrs.field(default=False, init=False)
    _gone: bool = attrs.field(default=False, init=False)

    def write(self, data: bytes) -> None:
        """Add ``data``."""
        self.size += len(data)
        if self._file is None and self.size > self._memory_bytes:
            self._open()
        if self._file is None:
            self._memory += data
        else:
            self._file.write(data)

    def finish(self) -> None:
        """Say that everything has been written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Remove the file, unless it has been moved away."""
        self.finish()
        self._gone = True
        if self._path is not None and not self._kept:
            self._path.unlink(missing_ok=True)

    @property
    def path(self) -> Path:
        """Return the file that holds the bytes; it is made if there is none."""
        if self._path is None:
            self._open()
            self.finish()
        assert self._path is not None
        return self._path

    def open(self) -> BinaryIO:
        """Return a file to read the bytes from."""
        return self.path.open("rb")

    def read(self) -> bytes:
        """Return all bytes."""
        return bytes(self._memory) if self._path is None else self._path.read_bytes()

    def move(self, target: Path) -> None:
        """Move the bytes to ``target``; from now on they are not removed."""
        shutil.move(self.path, target)
        self._path, self._kept = target, True

    def _open(self) -> None:
        if self._gone:
            msg = "an upload ends with its request, unless it is saved"
            raise FileNotFoundError(msg)
        self._path = self._folder.new_path()
        self._file = self._path.open("xb")
        self._file.write(self._memory)
        self._memory = bytearray()


class UploadedFile:
    """A file that a client sent in a form.

    ``filename`` is a name without folders, but it is the client's choice all the
    same. ``content_type`` is what the client says.
    """

    def __init__(
        self, filename: str, content_type: str, field_name: str, content: Spool
    ) -> None:
        self.filename = filename
        self.content_type = content_type
        self.field_name = field_name
        self._content = content

    @override
    def __repr__(self) -> str:
        return (
            f"UploadedFile({self.field_name!r}, {self.filename!r}, {self.size} bytes)"
        )

    @property
    def size(self) -> int:
        """Return how many bytes it has."""
        return self._content.size

    @property
    def temp_path(self) -> Path:
        """Return where it is on disk, until the request is over."""
        return self._content.path

    def read(self) -> bytes:
        """Return the whole content."""
        return self._content.read()

    def stream(self, chunk_size: int = KIB64) -> Iterator[bytes]:
        """Yield the content, ``chunk_size`` bytes at a time."""
        with self._content.open() as file:
            while block := file.read(chunk_size):
                yield block

    def save_to(self, destination: str | Path) -> Path:
        """Move it to ``destination`` for good; folders are made as needed."""
        target = _ready(destination)
        self._content.move(target)
        return target

    def copy_to(self, destination: str | Path) -> Path:
        """Copy it to ``destination``; folders are made as needed."""
        target = _ready(destination)
        shutil.copyfile(self._content.path, target)
        return target

    def discard(self) -> None:
        """Remove it from disk, unless it has been saved."""
        self._content.discard()


def _ready(destination: str | Path) -> Path:
    target = Path(destination)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
