"""What ToolBoxV2 does beside its work while it starts, and how that is kept in check.

It prints banners, takes over SIGINT, and tries to reach a MinIO server that its own
manifest asks for. Here its words go to the log, the signals stay ours, and with
``IS_OFFLINE_DB=true``, the default, it reaches for nothing.
"""

from __future__ import annotations

import io
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Final

from twisted.logger import Logger
from typing_extensions import override

_log = Logger(namespace="toolboxv2")

_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class LogWriter(io.TextIOBase):
    """A stream whose lines become log events, without colours."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._begun = ""

    @override
    def writable(self) -> bool:
        """Say that this can be written to."""
        return True

    @override
    def write(self, text: str) -> int:
        """Log the lines that are complete now."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def end(self) -> None:
        """Log what has no end of line."""
        with self._lock:
            line, self._begun = self._begun, ""
        self._log(line)

    def _log(self, line: str) -> None:
        if text := _CONTROL.sub("", line).strip():
            _log.info("{text}", text=text)

    def print(self, *values: object, **options: Any) -> None:
        """Take the place of `print`."""
        shape = {key: options[key] for key in ("sep", "end") if key in options}
        print(*values, **shape, file=self)


@contextmanager
def quiet(loader: Any, *, offline: bool) -> Iterator[LogWriter]:
    """Keep what is printed off the console, signals ours, and the network alone.

    ``loader`` is ToolBoxV2's class ``ManifestLoader``.
    """
    writer = LogWriter()
    with ExitStack() as stack:
        stack.enter_context(_same_signals())
        if offline:
            stack.enter_context(_offline(loader))
        stack.callback(writer.end)
        stack.enter_context(redirect_stdout(writer))
        stack.enter_context(redirect_stderr(writer))
        yield writer


@contextmanager
def printed() -> Iterator[LogWriter]:
    """Keep what is printed off the console."""
    writer = LogWriter()
    with redirect_stdout(writer), redirect_stderr(writer):
        yield writer
    writer.end()


@contextmanager
def _same_signals() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _offline(loader: Any) -> Iterator[None]:
    """Load manifests, for the time being, as of an installation without a server."""
    load = loader.load

    def load_offline(self: Any, *args: Any, **kwargs: Any) -> Any:
        manifest = load(self, *args, **kwargs)
        mode = type(manifest.database.mode)
        manifest.database.mode = mode("LC")
        manifest.observability.sync.enabled = False
        manifest.observability.dashboard.enabled = False
        return manifest

    loader.load = load_offline
    try:
        yield
    finally:
        loader.load = load
