"""``twistd tbworkers``: its options, and the way from them to a service.

The one place (with ``cli/``) that touches the global reactor, the environment
and the wall clock. Nothing of ours is imported at the top: twistd may import
this module only to list the commands, and txzmq pulls in a reactor.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.application.service import IService
from twisted.python.usage import Options as UsageOptions, UsageError
from typing_extensions import override

if TYPE_CHECKING:
    from twisted.logger import ILogObserver

    from tbtwist.config.loading import Loaded
    from tbtwist.config.schema import Settings
    from tbtwist.identity import WorkerId
    from tbtwist.net.locking import ProcessLock
    from tbtwist.net.supervised import Notifier
    from tbtwist.observe.files import LogFolder
    from tbtwist.observe.logs import LogFormat, Stream
    from tbtwist.roles.process import Process

ROLES = ("http", "ws", "broker", "manager", "all")
_COLLECT_EVERY = 5000
_PIDFILE_DEFAULT = "twistd.pid"


class Options(UsageOptions):
    """The options of ``twistd tbworkers``."""

    synopsis = "[options] --role=http|ws|broker|manager|all"
    optParameters: Sequence[Sequence[object]] = (
        ("role", None, None, "What this process is: http, ws, broker, manager or all."),
        ("config", "c", None, "The configuration file (YAML)."),
        ("host", None, None, "Listen on this address instead of the configured one."),
        ("port", None, None, "Listen on this port instead of the configured one.", int),
        ("worker-id", None, None, "The worker's id, as in http-2; default: ROLE-1."),
        ("log-format", None, None, "text or json instead of logging.format."),
    )
    optFlags: Sequence[Sequence[object]] = (
        ("verbose", "v", "Log debug events too."),
        ("console", None, "Show people the workers' states (manager)."),
        ("files", None, "Log to files in the data directory, not to standard output."),
        ("reload", None, "Replace the http workers when code changes (manager)."),
    )
    loaded: Loaded
    descriptors: dict[str, int]
    lifeline: int | None
    notifier: Notifier
    lock: ProcessLock | None = None
    log_folder: LogFolder
    settle_log: Callable[[], object] = staticmethod(lambda: None)
    chosen_observer: ClassVar[ILogObserver | None] = None

    @override
    def postOptions(self) -> None:
        """Check, load the configuration, and choose reactor, log and pid file."""
        self._check()
        if self.twistd["nodaemon"]:
            _leave_first_place()
        _explain_when_asked()
        from tbtwist.uvreactor import install_best

        install_best()
        self._take_what_was_given()
        self.loaded = _load(self["config"])
        self._choose_log()
        self._choose_pidfile()
        self.lock = self._take_lock()

    def _take_what_was_given(self) -> None:
        from tbtwist.net.supervised import Notifier, take_descriptors, take_lifeline

        self.descriptors = take_descriptors(os.environ, os.getpid())
        self.lifeline = take_lifeline(self.descriptors)
        self.notifier = Notifier.from_environ(os.environ)
        os.environ.pop("NOTIFY_SOCKET", None)
        if self.lifeline is not None and os.getpgid(0) != os.getpid():
            os.setsid()  # a Ctrl-C in the terminal is the manager's business

    def _check(self) -> None:
        if self["role"] not in ROLES:
            raise UsageError(f"--role must be one of {', '.join(ROLES)}")
        if self["log-format"] not in {None, "text", "json"}:
            raise UsageError("--log-format must be text or json")
        slot = self.slot
        role, _, number = slot.partition("-")
        numbered = role == self["role"] and number.isdigit() and int(number) > 0
        if slot != self["role"] and not numbered:
            raise UsageError(f"--worker-id must look like {self['role']}-1")

    @property
    def twistd(self) -> Any:
        """Return the options of twistd itself."""
        return self.parent

    @property
    def slot(self) -> str:
        """Return the worker's id, as in ``http-1``; ``broker`` has no number."""
        if self["worker-id"]:
            return str(self["worker-id"])
        numbered = self["role"] in {"http", "ws"}
        return f"{self['role']}-1" if numbered else str(self["role"])

    @property
    def index(self) -> int:
        """Return the slot's place in its role, from 0."""
        number = self.slot.partition("-")[2]
        return int(number) - 1 if number else 0

    @property
    def data_dir(self) -> Path:
        """Return the data directory, which exists."""
        return Path(self.loaded.settings.data_dir)

    @property
    def log_format(self) -> LogFormat:
        """Return the format of every record."""
        given: LogFormat | None = self["log-format"]
        return given or self.loaded.settings.logging.format

    def _choose_log(self) -> None:
        """Log to where twistd was told to; a console shows only what matters."""
        from tbtwist.observe.files import LogFolder
        from tbtwist.observe.logs import observer
        from tbtwist.observe.records import Source

        settings = self.loaded.settings
        level = "DEBUG" if self["verbose"] else settings.log_level
        self.log_folder = folder = LogFolder(
            self.data_dir / "logs", settings.logging, time.time, _tell_terminal
        )
        given, in_front = self.twistd["logfile"], self.twistd["nodaemon"]
        stream: Stream = folder.file(self.slot)
        if given not in (None, "-"):
            stream = folder.at(Path(given))
        elif in_front and not (self["console"] or self["files"]):
            stream = self._standard_output()
        source = Source(self.slot, self["role"], os.getpid)
        Options.chosen_observer = observer(stream, self.log_format, level, source)
        if self.twistd["logger"] is None and not self.twistd["syslog"]:
            self.twistd["logger"] = f"{__name__}.chosen_observer"

    def _standard_output(self) -> Stream:
        """Return what nobody has to wait for, if somebody else reads it."""
        from tbtwist.observe.patient import PatientStream, is_pipe

        if sys.stdout is None or not is_pipe(sys.stdout.fileno()):
            return sys.stdout
        stream = PatientStream(sys.stdout.fileno())
        self.settle_log = stream.settle
        atexit.register(stream.settle)
        return stream

    def _choose_pidfile(self) -> None:
        """Keep twistd's pid file out of the working folder.

        A process in the foreground has none: the lock below is what keeps a
        second one out, and it cannot be stale.
        """
        if self.twistd["pidfile"] != _PIDFILE_DEFAULT:
            return
        run = self.data_dir / "run"
        run.mkdir(mode=0o700, exist_ok=True)
        foreground = self.twistd["nodaemon"]
        self.twistd["pidfile"] = "" if foreground else str(run / f"{self.slot}.pid")

    def _take_lock(self) -> ProcessLock | None:
        from tbtwist.errors import AlreadyRunning
        from tbtwist.net.locking import ProcessLock

        if self["role"] in {"manager", "broker"}:
            return None  # they guard themselves
        supervised = self.lifeline is not None  # two generations of a slot overlap
        path, pid = self.data_dir / "run" / f"{self.slot}.lock", os.getpid()
        try:
            return ProcessLock.take(path, what=self.slot, pid=pid, shared=supervised)
        except AlreadyRunning as error:
            hint = f"Give this one another --worker-id, like {self['role']}-2."
            if supervised:
                hint = "It was started by hand: stop it, and the manager's will start."
            raise SystemExit(f"{error} {hint}") from error


def _tell_terminal(sentence: str) -> None:
    """Say what no log can keep where a person or the journal may see it."""
    if sys.__stderr__ is not None:
        with contextlib.suppress(OSError):  # that was the last place
            print(sentence, file=sys.__stderr__, flush=True)


def chosen_observer() -> ILogObserver | None:
    """Return the log observer for ``twistd --logger``, which takes a name only."""
    return Options.chosen_observer


def _settings(path: str | None) -> Settings:
    from tbtwist.config.loading import load

    return load(path, os.environ, cwd=Path.cwd(), home=Path.home()).settings


def _load(path: str | None) -> Loaded:
    from tbtwist.config.loading import load
    from tbtwist.errors import TbtwistError

    try:
        return load(path, os.environ, cwd=Path.cwd(), home=Path.home())
    except TbtwistError as error:
        raise SystemExit(str(error)) from error


def makeService(options: Options) -> IService:
    """Build the service of the role that the options name."""
    from twisted.internet import reactor

    from tbtwist import roles
    from tbtwist.errors import TbtwistError
    from tbtwist.lifetime import Lifetime

    process = _process(options, reactor)
    try:
        role = roles.build(options["role"], process)
    except TbtwistError as error:
        raise SystemExit(str(error)) from error
    return Lifetime(role, process.around)


def _process(options: Options, reactor: Any) -> Process:
    from tbtwist.lifetime import Surroundings
    from tbtwist.observe.printing import redirect_prints
    from tbtwist.roles.process import Process

    return Process(
        around=Surroundings(
            reactor=reactor,
            notifier=options.notifier,
            lifeline=options.lifeline,
            on_start=redirect_prints,
            on_failed_start=lambda: _remove_pidfile(options.twistd["pidfile"]),
            on_ready=settle_memory,
            on_failure=options.settle_log,
        ),
        settings=options.loaded.settings,
        warnings=options.loaded.warnings,
        config_path=options.loaded.path,
        identity=_identity(options),
        index=options.index,
        descriptors=options.descriptors,
        host=options["host"],
        port=options["port"],
        now=time.time,
        random=secrets.token_bytes,
        environ=os.environ,
        cwd=Path.cwd(),
        console=sys.stdout if options["console"] else None,
        verbose=bool(options["verbose"]),
        log_format=options.log_format,
        log_folder=options.log_folder,
        reload=lambda: _settings(options["config"]),
        reloads=bool(options["reload"]),
        probing=os.environ.pop("TB_PROBING", "") == "1",
    )


def _identity(options: Options) -> WorkerId:
    from tbtwist.identity import WorkerId

    slot = options.slot if "-" in options.slot else f"{options.slot}-1"
    generation = int(os.environ.pop("TB_GENERATION", "0"))
    return WorkerId.new(slot, generation, secrets.token_bytes)


def _leave_first_place() -> None:
    """In a container: leave it to a small init to be its process 1."""
    from tbtwist.net.firstprocess import leave_first_place

    leave_first_place(os.environ)


def _explain_when_asked() -> None:
    """On SIGUSR2, write what every thread is doing, whatever the reactor does."""
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGUSR2, file=sys.__stderr__, all_threads=True)


def settle_memory() -> None:
    """Keep the collector from looking again and again at what stays anyway.

    All that is loaded when a role gets ready lives as long as the process; what a
    request leaves in cycles is little, and can wait for more of its kind. Without
    this, collecting takes a tenth of a busy worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 10, 10)


def _remove_pidfile(path: str) -> None:
    if path:
        Path(path).unlink(missing_ok=True)
