"""Find the configuration file, read it, and make the data directory ready."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from os.path import samestat
from pathlib import Path
from typing import Final

import attrs

from tbtwist.config.manifest import NAMES as MANIFESTS
from tbtwist.config.nodes import MAX_BYTES
from tbtwist.config.reading import Source, Surroundings, read
from tbtwist.config.schema import Settings
from tbtwist.errors import ConfigNotFound, DataDirUnusable

SYSTEM_FILE: Final = Path("/etc/toolboxv2/config.yaml")
VARIABLE: Final = "TB_CONFIG"
_NOTHING: Final = Path(os.devnull)


@attrs.frozen
class Loaded:
    """Settings as they are in effect.

    ``path`` is the file that was read (absolute), ``warnings`` are sentences for
    whoever starts this, ``origins`` tells for each key where its value is from:
    ``config.yaml:3:9``, a variable's name, or a default.
    """

    settings: Settings
    path: Path | None
    warnings: tuple[str, ...]
    origins: Mapping[str, str]


def load(
    path: str | None,
    environ: Mapping[str, str],
    *,
    cwd: Path,
    home: Path,
    system_file: Path = SYSTEM_FILE,
) -> Loaded:
    """Return the settings in effect, their data directory existing and usable.

    Raises:
        ConfigError: something in the file or the environment is wrong.
        ConfigNotFound: the file that was asked for cannot be read.
        DataDirUnusable: the data directory cannot be made or written to.
    """
    loaded = examine(path, environ, cwd=cwd, home=home, system_file=system_file)
    make_data_dir(Path(loaded.settings.data_dir))
    return loaded


def examine(
    path: str | None,
    environ: Mapping[str, str],
    *,
    cwd: Path,
    home: Path,
    system_file: Path = SYSTEM_FILE,
) -> Loaded:
    """Return the settings as `load` does, but leave the disk as it is."""
    around = Surroundings(environ, cwd, home)
    found = _find(path, around, system_file)
    source = _open(found, cwd) if found else None
    reading = read(source, around)
    return Loaded(reading.settings, found, reading.warnings, reading.origins)


def _find(path: str | None, around: Surroundings, system_file: Path) -> Path | None:
    """Return the file to read; one that somebody named must exist, others may."""
    asked = path or around.environ.get(VARIABLE)
    if asked:
        return _absolute(asked, around)
    return next((p for p in _usual(around, system_file) if p.is_file()), None)


def _absolute(asked: str, around: Surroundings) -> Path:
    if asked.startswith("~/"):
        return around.home / asked[2:]
    return around.cwd / asked


def _usual(around: Surroundings, system_file: Path) -> Iterator[Path]:
    for name in ("config.yaml", "config.yml", "toolbox.yaml", *MANIFESTS):
        yield around.cwd / name
    yield around.home / ".toolboxv2" / "config.yaml"
    yield system_file


def _open(path: Path, cwd: Path) -> Source:
    try:
        raw = _content(path)
    except (OSError, ValueError) as error:
        raise ConfigNotFound(path=str(path), reason=_reason(error)) from error
    name = path.relative_to(cwd) if path.is_relative_to(cwd) else path
    return Source(raw, str(name), path.parent)


def _content(path: Path) -> bytes:
    """Return what is in a file, up to a little more than a configuration may have.

    Opening a pipe would wait for somebody who writes to it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        what = os.fstat(descriptor)
        if not (stat.S_ISREG(what.st_mode) or samestat(what, _NOTHING.stat())):
            kind = "directory" if stat.S_ISDIR(what.st_mode) else "device or a pipe"
            raise OSError(errno.EINVAL, f"it is a {kind}, not a file")
        return file.read(MAX_BYTES + 1)


def make_data_dir(path: Path) -> None:
    """Make the data directory (0700) unless it is there; check that it is ours to use.

    Raises:
        DataDirUnusable: with the reason in words.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.stat().st_mode
    except FileExistsError:
        raise _unusable(path, "it is not a directory") from None
    except (OSError, ValueError) as error:
        raise _unusable(path, _reason(error)) from error
    if mode & stat.S_IWOTH:
        raise _unusable(path, "everybody may write to it; change that with chmod 700")
    if not os.access(path, os.W_OK | os.X_OK):
        raise _unusable(path, "we may not write to it")


def _unusable(path: Path, reason: str) -> DataDirUnusable:
    return DataDirUnusable(path=str(path), reason=reason)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return "this is no file name"
