"""What can go wrong, each with the sentence that a user reads.

The first paragraph of an error's docstring is that sentence; its attributes
fill the braces. Raise the narrow class with the facts, format at the edge only.
"""

from __future__ import annotations

import inspect

import attrs
from typing_extensions import override


class TbtwistError(Exception):
    """Something in tbtwist failed."""

    @override
    def __str__(self) -> str:
        """Return the sentence for the user, filled with this error's facts."""
        text = inspect.getdoc(type(self)) or type(self).__name__
        sentence = " ".join(text.split("\n\n", 1)[0].split())
        return sentence.format_map({**vars(type(self)), **_facts(self)})


def _facts(error: TbtwistError) -> dict[str, object]:
    cls: type = type(error)
    if not attrs.has(cls):
        return {}
    return {a.name: getattr(error, a.name) for a in attrs.fields(cls)}


# --- configuration -----------------------------------------------------------


@attrs.define(eq=False)
class ConfigProblem(TbtwistError):
    """{where}: {key}: {expected}"""  # noqa: D415

    where: str
    key: str
    expected: str


@attrs.define(eq=False)
class ConfigError(TbtwistError):
    """The configuration cannot be used: {summary}

    ``problems`` holds every single one, in the order of the file.
    """  # noqa: D415

    problems: tuple[ConfigProblem, ...]

    @property
    def summary(self) -> str:
        """Return all problems in one line."""
        return "; ".join(str(problem) for problem in self.problems)

    @override
    def __str__(self) -> str:
        """Return one line a problem."""
        return "\n".join(str(problem) for problem in self.problems)


@attrs.define(eq=False)
class ConfigNotFound(TbtwistError):
    """The configuration file {path} cannot be read: {reason}."""

    path: str
    reason: str


# --- processes and sockets ---------------------------------------------------


@attrs.define(eq=False)
class CannotBind(TbtwistError):
    """Cannot listen on {address} for {what}: {reason}."""

    what: str
    address: str
    reason: str


@attrs.define(eq=False)
class AlreadyRunning(TbtwistError):
    """Another {what} already uses {data_dir} (pid {pid})."""

    what: str
    data_dir: str
    pid: int


@attrs.define(eq=False)
class DataDirUnusable(TbtwistError):
    """The data directory {path} cannot be used: {reason}."""

    path: str
    reason: str


# --- the manager and its control socket --------------------------------------


@attrs.define(eq=False)
class NoManager(TbtwistError):
    """No manager is running for the data directory {data_dir}."""

    data_dir: str


@attrs.define(eq=False)
class ControlFailed(TbtwistError):
    """The manager did not do it: {reason}."""

    reason: str


# --- nginx -------------------------------------------------------------------


class NginxMissing(TbtwistError):
    """There is no nginx here; install it, or say where it is with NGINX_PATH."""


@attrs.define(eq=False)
class NginxRefuses(TbtwistError):
    """nginx refuses its configuration: {reason}"""  # noqa: D415

    reason: str


class NginxNotRunning(TbtwistError):
    """nginx is not running, so there is nothing to reload."""


@attrs.define(eq=False)
class NginxNotPermitted(TbtwistError):
    """This needs more rights, try it with sudo: {reason}"""  # noqa: D415

    reason: str


@attrs.define(eq=False)
class CannotInstall(TbtwistError):
    """The site cannot be written to {path}: {reason}."""

    path: str
    reason: str


# --- applications ------------------------------------------------------------


@attrs.define(eq=False)
class ManagerBusy(TbtwistError):
    """The manager is busy with {doing}; try again when that is done."""

    doing: str


@attrs.define(eq=False)
class UnknownWorker(TbtwistError):
    """There is no worker {worker} that could be stopped; there are: {known}."""

    worker: str
    known: str


@attrs.define(eq=False)
class WorkerNotReady(TbtwistError):
    """{worker} did not get ready: {reason}."""

    worker: str
    reason: str


@attrs.define(eq=False)
class ProbeFailed(TbtwistError):
    """The probe of {path} failed: {reason}."""

    path: str
    reason: str


@attrs.define(eq=False)
class ModuleFailed(TbtwistError):
    """The application module {module} cannot be loaded: {where}: {reason}."""

    module: str
    where: str
    reason: str


@attrs.define(eq=False)
class StartFailed(TbtwistError):
    """{function}, which runs at the start, failed: {where}: {reason}."""

    function: str
    where: str
    reason: str


@attrs.define(eq=False)
class FunctionNotFound(TbtwistError):
    """There is no function {module}/{function}."""

    module: str
    function: str


class PoolFull(TbtwistError):
    """Every thread for application functions is busy and the queue is full."""


class StreamStopped(TbtwistError):
    """The stream was closed before its end."""


@attrs.define(eq=False)
class DeadlinePassed(TbtwistError):
    """The call did not finish within {timeout_s:g} s."""

    timeout_s: float


@attrs.define(eq=False)
class BadArgument(TbtwistError):
    """{field}: {reason}."""

    field: str
    reason: str


@attrs.define(eq=False)
class MissingArgument(TbtwistError):
    """The parameter {field} is missing."""

    field: str


@attrs.define(eq=False)
class DefinedTwice(TbtwistError):
    """{what} is defined twice: in {first} and in {second}."""

    what: str
    first: str
    second: str


class NoBus(TbtwistError):
    """This application is not connected to a bus."""


# --- inside another program --------------------------------------------------


class OnReactorThread(TbtwistError):
    """This waits for the event loop, so it cannot be called on the loop's own thread."""


class NotStarted(TbtwistError):
    """App not initialized"""  # noqa: D415 - ToolBoxV2's words


# --- HTTP --------------------------------------------------------------------


@attrs.define(eq=False)
class Refused(TbtwistError):
    """{message}."""

    status: int
    message: str
    headers: tuple[tuple[str, str], ...] = ()


# --- sessions and access -----------------------------------------------------


@attrs.define(eq=False)
class SecretUnusable(TbtwistError):
    """The session secret cannot be used: {reason}."""

    reason: str


@attrs.define(eq=False)
class PrivateFileUnusable(TbtwistError):
    """{path} {reason}."""

    path: str
    reason: str


@attrs.define(eq=False)
class KeysUnavailable(TbtwistError):
    """The token issuer's public keys cannot be fetched: {reason}."""

    reason: str


# --- the bus -----------------------------------------------------------------


@attrs.define(eq=False)
class BusKeysUnusable(TbtwistError):
    """The keys of the bus cannot be used: {reason}."""

    reason: str


@attrs.define(eq=False)
class BadFrame(TbtwistError):
    """A message on the bus cannot be read: {reason}."""

    reason: str


@attrs.define(eq=False)
class Unroutable(TbtwistError):
    """Nobody on the bus answers to {target}."""

    target: str


@attrs.define(eq=False)
class Undeliverable(TbtwistError):
    """Not delivered to {target}: {reason}."""

    target: str
    reason: str


@attrs.define(eq=False)
class CallTimeout(TbtwistError):
    """{target} did not answer {method} within {timeout_s:g} s."""

    target: str
    method: str
    timeout_s: float


@attrs.define(eq=False)
class CallRefused(TbtwistError):
    """{target} refused {method}: {reason}."""

    target: str
    method: str
    reason: str


@attrs.define(eq=False)
class QueueFull(TbtwistError):
    """The queue for {target} is full ({limit})."""

    target: str
    limit: str


@attrs.define(eq=False)
class NoBroker(TbtwistError):
    """There is no broker for the data directory {data_dir}: {reason}."""

    data_dir: str
    reason: str


@attrs.define(eq=False)
class BusUnavailable(TbtwistError):
    """The bus did not become ready within {timeout_s:g} s."""

    timeout_s: float
