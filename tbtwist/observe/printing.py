"""What an application prints: lines of the log, by way of a real text stream.

Twisted's ``LoggingFile``, which twistd puts in the place of ``sys.stdout``, is no
stream of the standard library: applications that call ``reconfigure``, write to ``buffer`` or hand
the stream to ``faulthandler`` or ``subprocess`` fail with it.
"""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger, LoggingFile, LogLevel
from typing_extensions import Buffer, override

_STREAMS: Final = (
    ("stdout", 1, LogLevel.info),
    ("stderr", 2, LogLevel.error),
)
Hear = Callable[[str], None]


class _Lines(io.RawIOBase):
    """Cuts what is written into lines.

    ``descriptor`` is for those who write to the process's own output instead.
    """

    name = "<log>"

    def __init__(self, hear: Hear, descriptor: int) -> None:
        super().__init__()
        self._hear = hear
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""

    @override
    def writable(self) -> bool:
        return True

    @override
    def fileno(self) -> int:
        return self._descriptor

    @override
    def isatty(self) -> bool:
        return False

    @override
    def write(self, data: Buffer, /) -> int:
        written = bytes(data)
        text = self._rest + self._decoder.decode(written)
        *lines, self._rest = text.split("\n")
        for line in lines:
            self._hear(line)
        return len(written)


def line_stream(hear: Hear, descriptor: int) -> io.TextIOWrapper:
    """Return a text stream whose lines ``hear`` gets as soon as they are complete."""
    return io.TextIOWrapper(
        _Lines(hear, descriptor),
        encoding="utf-8",
        errors="backslashreplace",
        newline="\n",
        write_through=True,
    )


def redirect_prints() -> None:
    """Put real streams where twistd has put its own; where it has not, do nothing."""
    for name, descriptor, level in _STREAMS:
        if isinstance(getattr(sys, name), LoggingFile):
            setattr(sys, name, line_stream(_logged(name, level), descriptor))


def _logged(namespace: str, level: Any) -> Hear:
    log = Logger(namespace=namespace)

    def hear(line: str) -> None:
        log.emit(level, format="{log_io}", log_io=line)

    return hear
