"""Puts a site where nginx looks for it, and takes it back if nginx refuses it.

nginx checks a site only as a part of everything, so the new one has to be in place
for that. The old one is kept beside it until the check has passed; ``nginx -t`` by
somebody else, or a reload, sees one of the two and never half of one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from tbtwist.errors import CannotInstall

_MODE: Final = 0o644
_NAME: Final = "tbtwist"
_DEBIAN: Final = ("sites-available", "sites-enabled")


@attrs.frozen
class Place:
    """Where a site is written, and the link that enables it, if there is one."""

    path: Path
    link: Path | None = None


def usual_place(etc: Path) -> Place:
    """Return where this system's nginx looks for sites; ``etc`` is ``/etc/nginx``."""
    available, enabled = (etc / name for name in _DEBIAN)
    if available.is_dir() and enabled.is_dir():
        return Place(available / _NAME, enabled / _NAME)
    return Place(etc / "conf.d" / f"{_NAME}.conf")


def install(text: str, place: Place, check: Callable[[], frozenset[str]]) -> bool:
    """Write the site, link and check it; return whether nginx includes it.

    ``check`` returns the files of nginx's configuration, or raises. If it does, file
    and link are as they were.

    Raises:
        CannotInstall: the file or the link cannot be written.
    """
    path = place.path.resolve()
    if place.link is not None and place.link.exists() and not place.link.is_symlink():
        raise CannotInstall(str(place.link), "it is there already, and no link")
    with _reasoned(place.path), _replaced(path, lambda new: _write(new, text)):
        if place.link is None:
            return _included(check(), place)
        with _reasoned(place.link), _replaced(place.link, _linker(path)):
            return _included(check(), place)


def _included(files: frozenset[str], place: Place) -> bool:
    names = {place.path, place.path.resolve(), place.link}
    return bool({str(name) for name in names if name} & files)


def _linker(target: Path) -> Callable[[Path], None]:
    return lambda new: new.symlink_to(target)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


@contextmanager
def _replaced(path: Path, make: Callable[[Path], None]) -> Iterator[None]:
    """Have ``path`` made anew by ``make``; what was there comes back on an error.

    The names in between begin with a dot: nginx's ``include`` with a ``*`` does not
    see those.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as name:
        new, old = Path(name) / "new", Path(name) / "old"
        make(new)
        if path.is_symlink() or path.exists():
            os.link(path, old, follow_symlinks=False)
        new.replace(path)
        try:
            yield
        except BaseException:
            if old.is_symlink() or old.exists():
                old.replace(path)
            else:
                path.unlink()
            raise


@contextmanager
def _reasoned(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotInstall(str(path), reason) from error
