"""How a manager is started: in this process's place, or in the background."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from tbtwist.cli.options import Child, Client, World
from tbtwist.errors import ControlFailed, NoManager
from tbtwist.status import Status, WorkerStatus

_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
_LOOK_EVERY_S: Final = 0.1
_EXIT_GRACE_S: Final = 5.0
_LOG_TAIL_BYTES: Final = 16_384
_LONGEST_OUTPUT_BYTES: Final = 1024 * 1024


@attrs.frozen
class Running:
    """Every worker is running."""

    status: Status


@attrs.frozen
class Died:
    """The manager ended before that; ``sentence`` is the last thing it said."""

    code: int
    sentence: str


@attrs.frozen
class NotReady:
    """The manager runs, but not every worker does; ``reason`` says which.

    ``final`` means that waiting longer will not help.
    """

    reason: str
    final: bool = False


Outcome = Running | Died | NotReady


def manager_argv(
    executable: str,
    config: Path | None,
    *,
    verbose: bool,
    reload: bool = False,
    background: bool = False,
    log_format: str | None = None,
) -> tuple[str, ...]:
    """Return the command line of a manager that reads ``config``.

    One in the ``background`` logs what it would show in front.
    """
    return (
        *(executable, "-c", _TWISTD, "-n", "--pidfile="),
        *("tbworkers", "--role=manager", "--files" if background else "--console"),
        *(("--verbose",) if verbose else ()),
        *(("--reload",) if reload else ()),
        *((f"--log-format={log_format}",) if log_format else ()),
        *(("--config", str(config)) if config else ()),
    )


def ask_status(client: Client) -> Status | None:
    """Return the manager's status, or None if there is no manager."""
    try:
        return client.status()
    except NoManager:
        return None


def start_in_background(
    world: World, argv: Sequence[str], data_dir: Path, timeout_s: float
) -> Outcome:
    """Spawn a manager and wait until all its workers run, it dies, or time is up."""
    log = log_file(data_dir)
    with os.fdopen(_open_log(log), "ab") as output:
        if output.tell() > _LONGEST_OUTPUT_BYTES:
            output.truncate(0)
        begin = output.tell()
        child = world.spawn(argv, output)
    client = world.connect(data_dir)
    deadline = world.seconds() + timeout_s
    while True:
        outcome = _look(child, client, log, begin)
        waiting = isinstance(outcome, NotReady) and not outcome.final
        if not waiting or world.seconds() >= deadline:
            return outcome
        world.pause(_LOOK_EVERY_S)


def log_file(data_dir: Path) -> Path:
    """Return where a manager in the background writes what it cannot log.

    That is why it did not start, or how its interpreter crashed.
    """
    return data_dir / "logs" / "manager.out"


def _open_log(path: Path) -> int:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _look(child: Child, client: Client, log: Path, begin: int) -> Outcome:
    code = child.poll()
    if code is not None:
        return Died(code, last_sentence(log, begin))
    try:
        status = client.status()
    except NoManager:
        return NotReady("the manager does not answer yet")
    except ControlFailed as error:
        return NotReady(str(error))
    if status.manager.pid != child.pid:
        return NotReady("another manager answers")
    return judge(status)


def judge(status: Status) -> Running | NotReady:
    """Return whether all workers run; one that failed will not come back."""
    pending = [worker for worker in status.workers if worker.state != "running"]
    if status.workers and not pending:
        return Running(status)
    failed = [worker for worker in pending if worker.state == "failed"]
    told = ", ".join(_state(worker) for worker in failed or pending)
    return NotReady(told or "no worker has been started yet", final=bool(failed))


def _state(worker: WorkerStatus) -> str:
    reason = worker.last_exit.reason if worker.last_exit else worker.detail
    return f"{worker.id} is {worker.state}" + (f" ({reason})" if reason else "")


def last_sentence(log: Path, begin: int) -> str:
    """Return the last line of ``log`` that was written after position ``begin``."""
    with log.open("rb") as written:
        end = written.seek(0, os.SEEK_END)
        written.seek(max(begin, end - _LOG_TAIL_BYTES))
        text = written.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "It said nothing."


def stop_manager(world: World, client: Client, timeout_s: float) -> Status | None:
    """Stop the manager and wait until it has gone; return what there was.

    None means that its process was still there after ``timeout_s`` and a bit.

    Raises:
        NoManager: there is none.
        ControlFailed: it could not do it.
    """
    status = client.status()
    try:
        client.stop(timeout_s)
    except ControlFailed:
        if not _gone(client):
            raise
    deadline = world.seconds() + timeout_s + _EXIT_GRACE_S
    while not _gone(client) or world.alive(status.manager.pid):
        if world.seconds() >= deadline:
            return None
        world.pause(_LOOK_EVERY_S)
    return status


def _gone(client: Client) -> bool:
    try:
        return ask_status(client) is None
    except ControlFailed:
        return False  # it is on its way out and hangs up
