"""Reads configurations for tests, from text and without a disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tbtwist.config.reading import Reading, Source, Surroundings, read

HOME = Path("/home/ada")
CWD = Path("/srv/here")
FOLDER = Path("/srv/site")


def reading(
    text: str | None = None,
    environ: Mapping[str, str] | None = None,
    name: str = "c.yaml",
) -> Reading:
    """Return what a file with ``text`` in FOLDER and ``environ`` make."""
    source = None if text is None else Source(text.encode(), name, FOLDER)
    return read(source, Surroundings(environ or {}, CWD, HOME))
