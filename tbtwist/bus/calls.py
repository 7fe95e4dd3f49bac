"""Questions and answers: `EventBus.call` and whoever serves them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tbtwist.boundaries import CallHandler, IncomingCall
from tbtwist.bus.codec import (
    Route,
    Verb,
    decode_event,
    decode_number,
    decode_route,
    encode_event,
    encode_route,
    only,
)
from tbtwist.bus.deadlines import Deadlines
from tbtwist.bus.shortcuts import Shortcuts
from tbtwist.bus.table import Change
from tbtwist.bus.wire import Surroundings
from tbtwist.errors import (
    BadFrame,
    CallRefused,
    CallTimeout,
    QueueFull,
    TbtwistError,
    Unroutable,
)
from tbtwist.events import Event
from tbtwist.services import Background
from tbtwist.tracing import Trace, awaited_within

_log = Logger()

Way = Callable[[str, Sequence[bytes]], bool]
"""Brings an answer to a worker; False when it was not taken."""


@attrs.define(eq=False)
class Question:
    """A call that waits for its answers; ``expected`` is None for a single one."""

    target: str
    method: str
    timeout_s: float
    done: Deferred[Any]
    expected: int | None = None
    callee: str | None = None
    """Who will answer, if we know."""
    header: bytes = b""
    answers: list[Any] = attrs.Factory(list)

    def refused(self, reason: str) -> CallRefused:
        """Return the error that says so."""
        return CallRefused(target=self.target, method=self.method, reason=reason)


class Calls:
    """What we asked and what we are asked."""

    def __init__(self, around: Surroundings, shortcuts: Shortcuts) -> None:
        self._around = around
        self._shortcuts = shortcuts
        self._handed: Counter[str] = Counter()
        self._wire = around.wire
        self._identity = around.name
        self._asked: dict[str, Question] = {}
        self._deadlines = Deadlines(around.clock, self._expired)
        self._last = 0
        self._handlers: dict[str, CallHandler] = {}
        self._answering = 0
        self._closed = False
        self._background = Background()

    @property
    def open(self) -> int:
        """Return how many of our calls wait for an answer."""
        return len(self._asked)

    @property
    def answering(self) -> int:
        """Return how many calls of others are being answered."""
        return self._answering

    # --- the one who asks

    def call(
        self,
        target: str,
        method: str,
        payload: object,
        timeout_s: float,
        trace: Trace | None = None,
    ) -> Deferred[Any]:
        """As `EventBus.call`."""
        done: Deferred[Any] = Deferred()
        question = Question(target, method, timeout_s, done)
        try:
            self._ask(question, payload, trace)
        except TbtwistError as error:
            self._around.counters[f"call: {type(error).__name__}"] += 1
            done.errback(error)
        return done

    def _ask(self, question: Question, payload: object, trace: Trace | None) -> None:
        if self._closed:
            raise Unroutable(target=question.target)
        limit = self._around.config.calls
        if len(self._asked) >= limit:
            raise QueueFull(target=question.target, limit=f"{limit} open calls")
        self._last += 1
        number = str(self._last)
        header = encode_event(
            Event(
                type="bus.call",
                source=self._identity,
                target=question.target,
                payload={"method": question.method, "payload": payload},
                correlation_id=number,
                ttl=question.timeout_s,
            ).traced(trace)
        )
        question.header = header
        self._hand_over(question)
        if question.target.endswith("*"):
            question.expected = 0
        self._asked[number] = question
        self._around.done["asked"] += 1
        self._deadlines.add(number, question.timeout_s)

    def _hand_over(self, question: Question) -> None:
        """Send a question to the one who should answer, as far as we know.

        So we know whom we wait for. What is not clear the broker decides.
        """
        table = self._around.table
        callee = table.callee(question.target, self._handed, self._last)
        if callee is None or not table.known:
            self._ask_broker(question, question.target)
            return
        question.callee = name = callee.identity
        self._handed[name] += 1
        route = encode_route(Verb.CALL, name, self._identity)
        directly = callee.direct and self._shortcuts.open and name != self._identity
        if not (directly and self._shortcuts.ask(name, (route, question.header))):
            self._ask_broker(question, name)

    def _ask_broker(self, question: Question, destination: str) -> None:
        route = encode_route(Verb.CALL, destination, self._identity)
        if not self._wire.transmit((route, question.header)):
            raise QueueFull(target="the broker", limit="its high-water mark")

    def changed(self, change: Change) -> None:
        """Whoever is gone will not answer any more."""
        self._handed.clear()
        if not change.gone:
            return
        self._shortcuts.gone(change.gone)
        for number, question in tuple(self._asked.items()):
            if question.callee in change.gone:
                self._end(number, Unroutable(target=question.target))

    def _expired(self, number: str) -> None:
        question = self._asked[number]
        self._end(
            number,
            CallTimeout(
                target=question.target,
                method=question.method,
                timeout_s=question.timeout_s,
            ),
        )

    def _end(self, number: str, outcome: object) -> None:
        """Give a question its outcome, an answer or an error."""
        question = self._asked.pop(number)
        self._deadlines.remove(number)
        if isinstance(outcome, Exception):
            self._around.counters[f"call: {type(outcome).__name__}"] += 1
            question.done.errback(outcome)
        else:
            question.done.callback(outcome)

    def expect(self, route: Route, frames: Sequence[bytes]) -> None:
        """The broker says how many will answer."""
        number = decode_event(only(frames, 1)[0]).correlation_id
        if number in self._asked:
            self._asked[number].expected = decode_number(route.rest)

    def unroutable(self, header: bytes) -> None:
        """The broker says that nobody will answer.

        If it was us who chose, the broker may know somebody else.
        """
        number = decode_event(header).correlation_id
        question = self._asked.get(number)
        if question is None:
            return
        chosen, question.callee = question.callee, None
        if chosen in {None, question.target}:
            self._end(number, Unroutable(target=question.target))
            return
        try:
            self._ask_broker(question, question.target)
        except QueueFull as error:
            self._end(number, error)

    def answered(self, route: Route, frames: Sequence[bytes]) -> None:
        """Someone answered or refused; too late is counted and dropped."""
        event = decode_event(only(frames, 1)[0])
        number = event.correlation_id
        question = self._asked.get(number)
        if question is None:
            self._around.counters["call: late answer"] += 1
        elif route.verb is Verb.REFUSED:
            self._end(number, question.refused(str(event.payload.get("reason", ""))))
        elif question.expected is None:
            self._end(number, event.payload.get("result"))
        else:
            question.answers.append(event.payload.get("result"))
            if len(question.answers) == question.expected:
                self._end(number, question.answers)

    # --- the one who answers

    def serve(self, method: str, handler: CallHandler) -> None:
        """As `EventBus.serve`."""
        self._handlers[method] = handler

    def asked(
        self, route: Route, frames: Sequence[bytes], *, directly: bool = False
    ) -> None:
        """Someone asks us; the answer goes back on the same way."""
        event = decode_event(only(frames, 1)[0])
        way = self._shortcuts.answer if directly else self._through_broker
        self._background.spawn("a call", self._answer(route.origin, event, way))

    def asked_directly(self, frames: Sequence[bytes]) -> None:
        """Someone asks us past the broker."""
        self.asked(decode_route(frames[0]), frames[1:], directly=True)

    def _through_broker(self, _: str, frames: Sequence[bytes]) -> bool:
        return self._wire.transmit(frames)

    async def _answer(self, origin: str, event: Event, way: Way) -> None:
        trace = event.continued()
        outcome = awaited_within(trace, self._refusal_or_result, origin, event)
        verb, payload = Verb.REFUSED, await outcome
        if "result" in payload:
            verb = Verb.REPLY
        try:
            header = self._header(event.correlation_id, payload, trace)
        except BadFrame as error:
            verb = Verb.REFUSED
            reason = f"the answer cannot travel: {error.reason}"
            header = self._header(event.correlation_id, {"reason": reason}, trace)
        route = encode_route(verb, origin, self._identity)
        if not way(origin, (route, header)):
            self._around.counters["call: answer not sent"] += 1

    def _header(
        self, number: str, payload: dict[str, object], trace: Trace | None
    ) -> bytes:
        return encode_event(
            Event(
                type="bus.reply",
                source=self._identity,
                payload=payload,
                correlation_id=number,
            ).traced(trace)
        )

    async def _refusal_or_result(self, origin: str, event: Event) -> dict[str, object]:
        method = str(event.payload.get("method", ""))
        handler = self._handlers.get(method)
        if handler is None:
            return {"reason": f"it does not know {method}"}
        if self._answering >= self._around.config.calls:
            return {"reason": "it answers too many calls already"}
        self._answering += 1
        call = IncomingCall(origin, method, event.payload.get("payload"))
        try:
            result = await handler(call)
        except TbtwistError as error:
            return {"reason": str(error)}
        except BaseException as error:  # whoever asked gets an answer
            if self._closed:
                raise
            _log.failure("answering {method} failed", method=method)
            return {"reason": str(error) or type(error).__name__}
        else:
            self._around.done["answered"] += 1
            return {"result": result}
        finally:
            self._answering -= 1

    def close(self) -> None:
        """Stop; whoever still waits learns that nobody will answer."""
        self._closed = True
        for number in tuple(self._asked):
            self._end(number, Unroutable(target=self._asked[number].target))
        self._deadlines.clear()
        self._background.cancel_all()
