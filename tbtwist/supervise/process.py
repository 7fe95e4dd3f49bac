"""One child process: how it is started, what it says, how it ended.

The child gets what systemd would give it: listeners from descriptor 3 on with
``LISTEN_FDS`` and ``LISTEN_FDNAMES``, and ``NOTIFY_SOCKET``, a datagram socket
of its own, since a datagram does not say who sent it (PROCESS.md). Its output is
read line by line.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import (
    CannotListenError,
    ProcessExitedAlready,
)
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IProcessTransport
from twisted.internet.protocol import DatagramProtocol, ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist.net.supervised import FIRST_DESCRIPTOR, parse_notification
from tbtwist.supervise.lastwords import LastLines, LastWords
from tbtwist.supervise.reaping import ExitWatch, OpenPidfd

_log = Logger()

MAX_LINE_BYTES: Final = 8192
_LONGEST_REASON: Final = 300
_OUTPUT_GRACE_S: Final = 0.5
_STDOUT: Final = 1
_STDERR: Final = 2


@attrs.frozen
class Exit:
    """How a process ended; ``reason`` is the sentence that an operator reads."""

    code: int | None
    signal: str | None
    reason: str


def describe_exit(code: int | None, number: int | None, said: LastWords) -> Exit:
    """Put an exit status or the number of a signal into words.

    A signal was not the process's own idea, so an error in its log is no reason; a
    fatal error of the interpreter or a library is.
    """
    if number is not None:
        known = {each.value: each.name for each in signal.Signals}
        name = known.get(number, f"signal {number}")
        return Exit(None, name, _with_reason(f"killed by {name}", said.complaint))
    reason = said.reason if code else ""
    return Exit(code, None, _with_reason(f"exit status {code}", reason))


def _with_reason(words: str, reason: str) -> str:
    return f"{words}: {reason[:_LONGEST_REASON]}" if reason else words


@attrs.frozen
class Launch:
    """Everything that a child is started with. ``descriptors`` are named, in order."""

    command: tuple[str, ...]
    environ: Mapping[str, str]
    notify_path: Path
    generation: int
    descriptors: tuple[tuple[str, int], ...]

    def child_environ(self) -> dict[str, str]:
        """Return the whole environment and ours; LISTEN_PID cannot be known yet."""
        ours = {
            "LISTEN_FDS": str(len(self.descriptors)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in self.descriptors),
            "NOTIFY_SOCKET": str(self.notify_path),
            "TB_GENERATION": str(self.generation),
            "PYTHONUNBUFFERED": "1",
        }
        theirs = {k: v for k, v in self.environ.items() if k != "LISTEN_PID"}
        return theirs | ours

    def child_descriptors(self) -> dict[int, int | Literal["r", "w"]]:
        """Return the map for ``spawnProcess``: pipes up to 2, ours from 3 on."""
        fds: dict[int, int | Literal["r", "w"]] = {0: "w", _STDOUT: "r", _STDERR: "r"}
        for position, (_, descriptor) in enumerate(self.descriptors):
            fds[FIRST_DESCRIPTOR + position] = descriptor
        return fds


class ChildEvents(Protocol):
    """What a child's owner hears of it."""

    def notified(self, facts: Mapping[str, str]) -> None:
        """The child said how it is, as in ``{"READY": "1"}``."""

    def said(self, line: str) -> None:
        """The child wrote a line to its output."""

    def exited(self) -> None:
        """The process is gone and reaped; its output may not be."""

    def ended(self, end: Exit) -> None:
        """The child is gone with its output, or could not be started."""


class Lines:
    """Cuts a stream of bytes into lines, none of them longer than the limit."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Take what came; the rest of a line that was too long is passed over."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        for line in complete:
            self._end_of(line)
        if len(self._rest) > MAX_LINE_BYTES:
            if not self._skipping:
                self._tell(self._rest[:MAX_LINE_BYTES] + b" [cut]")
            self._rest, self._skipping = b"", True

    def _end_of(self, line: bytes) -> None:
        if self._skipping:
            self._skipping = False
        elif len(line) > MAX_LINE_BYTES:
            self._tell(line[:MAX_LINE_BYTES] + b" [cut]")
        else:
            self._tell(line)

    def _tell(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self._heard(text)

    def close(self) -> None:
        """The stream has ended; so has its last line."""
        rest, self._rest = self._rest, b""
        self._end_of(rest)


class _NotifySocket(DatagramProtocol):
    """Receives what one child says over ``sd_notify``."""

    noisy = False

    def __init__(self, heard: Callable[[Mapping[str, str]], None]) -> None:
        self._heard = heard

    @override
    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Hand the facts over; the address is always None for UNIX datagrams."""
        self._heard(parse_notification(datagram))


class Child(ProcessProtocol):
    """A process from its start to its reaping; `ChildEvents` hear of it."""

    transport: IProcessTransport | None

    def __init__(
        self,
        reactor: Any,
        launch: Launch,
        events: ChildEvents,
        open_pidfd: OpenPidfd,
    ) -> None:
        self._reactor = reactor
        self._open_pidfd = open_pidfd
        self._watch: ExitWatch | None = None
        self.first_pid: int | None = None
        """The process's id, also when it is gone and may be another's."""
        self._launch = launch
        self._events = events
        self._notify_port: IListeningPort | None = None
        self._grace: IDelayedCall | None = None
        self._kept = LastLines()
        self._said = LastWords()
        self._streams = {
            _STDOUT: Lines(self._printed),
            _STDERR: Lines(self._complained),
        }

    def start(self) -> None:
        """Start the process; that it cannot start is reported as its end."""
        launch = self._launch
        try:
            self._notify_port = self._reactor.listenUNIXDatagram(
                str(launch.notify_path), _NotifySocket(self._notified), mode=0o600
            )
            self._reactor.spawnProcess(
                self,
                launch.command[0],
                launch.command,
                env=launch.child_environ(),
                childFDs=launch.child_descriptors(),
            )
        except (OSError, CannotListenError) as error:
            self._finish(Exit(None, None, f"cannot be started: {error}"))

    @property
    def pid(self) -> int | None:
        """Return the process's id while it has not been reaped."""
        return None if self.transport is None else self.transport.pid

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines of its output."""
        return self._kept.all()

    def signal(self, name: Literal["TERM", "KILL", "USR2"]) -> None:
        """Send a signal, unless the process is gone and its pid may be another's."""
        if self.transport is None:
            return
        try:
            self.transport.signalProcess(signal.Signals[f"SIG{name}"])
        except ProcessExitedAlready:
            _log.debug("{name} came too late for the child", name=name)

    @override
    def connectionMade(self) -> None:
        """The child reads nothing; its end must not be missed."""
        if self.transport is not None and self.transport.pid is not None:
            self.first_pid = self.transport.pid
            self.transport.closeStdin()
            self._watch = ExitWatch.begin(
                self._reactor, self.transport.pid, self._open_pidfd
            )

    @override
    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Cut output into lines."""
        self._streams[childFD].feed(data)

    def _heard(self, line: str) -> None:
        self._kept.add(line)
        self._events.said(line)

    def _printed(self, line: str) -> None:
        self._said.printed(line)
        self._heard(line)

    def _complained(self, line: str) -> None:
        self._said.complained(line)
        self._heard(line)

    def _notified(self, facts: Mapping[str, str]) -> None:
        if self._notify_port is not None:
            self._events.notified(facts)

    @override
    def processExited(self, reason: Failure) -> None:
        """Do not wait for a grandchild that still holds the output open."""
        self._events.exited()
        self._grace = self._reactor.callLater(_OUTPUT_GRACE_S, self._close_output)

    def _close_output(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    @override
    def processEnded(self, reason: Failure) -> None:
        """The process is reaped and its output read to the end."""
        self.transport = None
        if self._grace is not None and self._grace.active():
            self._grace.cancel()
        if self._watch is not None:
            self._watch.close()
        for lines in self._streams.values():
            lines.close()
        status: Any = reason.value
        self._finish(describe_exit(status.exitCode, status.signal, self._said))

    def _hear_last_words(self) -> None:
        """Read what it said right before its end: its last figures are in there."""
        port: Any = self._notify_port
        if port is not None:
            port.doRead()

    def _finish(self, end: Exit) -> None:
        """Report the end once the notify socket is closed and its name is free."""
        self._hear_last_words()
        port, self._notify_port = self._notify_port, None
        closing: Deferred[object] = maybeDeferred(
            port.stopListening if port is not None else lambda: None
        )

        def closed(_: object) -> None:
            self._launch.notify_path.unlink(missing_ok=True)
            self._events.ended(end)

        _ = closing.addBoth(closed)
