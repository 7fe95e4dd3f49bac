"""W3C Trace Context: which piece of work, in a chain over many programs, this is.

A `Trace` is what a ``traceparent`` header says (the W3C's recommendation, level 1).
Whoever is asked for something under a trace works in a span of its own, the child
of the one who asked (`continued`). The trace that code works under is a context
variable, so it goes wherever asyncio, Twisted's coroutines and our pool carry
contexts; log records are read against it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Final, ParamSpec, TypeVar

import attrs
from twisted.internet.defer import maybeDeferred

from tbtwist.identity import RandomBytes

P = ParamSpec("P")
T = TypeVar("T")

MAX_STATE: Final = 512
"""How many characters of ``tracestate`` are carried; the W3C asks for that many."""

_FORM: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace_id>[0-9a-f]{32})-(?P<span_id>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?\Z",
    re.DOTALL,
)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 0x01


@attrs.frozen
class Trace:
    """A span of a trace.

    ``parent_id`` is the span that asked for this one, empty where that is not
    known. ``state`` is what other tracing systems want carried, as it came.
    """

    trace_id: str
    span_id: str
    sampled: bool = False
    state: str = attrs.field(default="", repr=False)
    parent_id: str = ""

    @classmethod
    def parse(cls, traceparent: str, tracestate: str = "") -> Trace | None:
        """Read the two headers; None if ``traceparent`` is no good.

        A later version is read as far as we know it. What we do not know of a
        ``tracestate`` does not matter, but one that no header could carry is left
        out, and a long one loses its last members.
        """
        found = _FORM.match(traceparent)
        if found is None or found["version"] == "ff":
            return None
        if found["version"] == "00" and found["more"]:
            return None
        if found["trace_id"] == _NO_TRACE or found["span_id"] == _NO_SPAN:
            return None
        sampled = bool(int(found["flags"], 16) & _SAMPLED)
        return cls(found["trace_id"], found["span_id"], sampled, _bounded(tracestate))

    def child(self, random: RandomBytes = secrets.token_bytes) -> Trace:
        """Return a new span of this trace, which this one asked for."""
        span_id = random(8).hex()
        while span_id == _NO_SPAN:
            span_id = random(8).hex()
        return Trace(self.trace_id, span_id, self.sampled, self.state, self.span_id)

    @property
    def parent(self) -> Trace | None:
        """Return the span that asked for this one, where that is known.

        What is recorded in its place (another tool's span) has this for its parent.
        """
        if not self.parent_id:
            return None
        return Trace(self.trace_id, self.parent_id, self.sampled, self.state)

    @property
    def traceparent(self) -> str:
        """Return the header for whoever is asked for something in this span."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"

    def fields(self) -> dict[str, str]:
        """Return what log records say of it."""
        return {"trace_id": self.trace_id, "span_id": self.span_id}


def _bounded(tracestate: str) -> str:
    if not (tracestate.isascii() and tracestate.replace("\t", " ").isprintable()):
        return ""
    if len(tracestate) <= MAX_STATE:
        return tracestate
    return tracestate[: MAX_STATE + 1].rpartition(",")[0]


def continued(
    traceparent: str, tracestate: str = "", random: RandomBytes = secrets.token_bytes
) -> Trace | None:
    """Return a span of our own under the caller's; None if that is no good."""
    trace = Trace.parse(traceparent, tracestate)
    return None if trace is None else trace.child(random)


CURRENT: Final[ContextVar[Trace | None]] = ContextVar("tbtwist_trace", default=None)
"""The trace that this code works under."""


def current_trace() -> Trace | None:
    """Return the trace that this code works under, if any."""
    return CURRENT.get()


@contextmanager
def use_trace(trace: Trace | None) -> Iterator[None]:
    """Work under ``trace`` inside a ``with`` block, for example another tool's span."""
    token = CURRENT.set(trace)
    try:
        yield
    finally:
        CURRENT.reset(token)


def within(
    trace: Trace | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call ``function`` under ``trace``; whatever it starts later stays under it.

    With None, timers and the like that outlive a request do not keep its trace.
    """
    if trace is CURRENT.get():
        return function(*args, **kwargs)
    context = copy_context()
    context.run(CURRENT.set, trace)
    return context.run(function, *args, **kwargs)


def awaited_within(
    trace: Trace | None,
    handler: Callable[P, Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Awaitable[T]:
    """Call what returns an awaitable, as `within`; to be awaited on the reactor."""
    if trace is CURRENT.get():
        return handler(*args, **kwargs)
    start: Callable[..., Awaitable[T]] = maybeDeferred  # a coroutine keeps its context
    return within(trace, start, handler, *args, **kwargs)
