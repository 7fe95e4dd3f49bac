"""Module calls: ``/api/{Module}/{Function}`` (R1.3)."""

from __future__ import annotations

from contextlib import suppress

import attrs

from tbtwist.api import failures
from tbtwist.api.arguments import read_arguments
from tbtwist.api.context import Caller, Callers, request_data
from tbtwist.api.request import Request
from tbtwist.api.response import Response
from tbtwist.api.results import Answering, to_response
from tbtwist.api.routes import CALL_METHODS, Routes
from tbtwist.api.streams import Streams
from tbtwist.apps.application import Application
from tbtwist.apps.functions import Function
from tbtwist.apps.runner import Runner
from tbtwist.auth.access import NOBODY, AccessRules, MethodNotAllowed, decide
from tbtwist.config.schema import HttpWorker
from tbtwist.errors import Refused
from tbtwist.identity import RandomBytes


@attrs.frozen(kw_only=True)
class Calls:
    """Calls the application's functions for clients."""

    app: Application
    runner: Runner
    rules: AccessRules
    callers: Callers
    streams: Streams
    random: RandomBytes
    config: HttpWorker
    routes: Routes

    async def answer(self, request: Request) -> Response:
        """Find the function, decide about the caller, and call it."""
        method = request.effective_method
        if method not in CALL_METHODS:
            return failures.method_not_allowed(CALL_METHODS)
        module, name = self.routes.called(request.path)
        function = self.app.find(module, name)
        if function is None:
            return failures.not_found(module, name)
        caller = await self.callers.identify(request)
        decision = decide(self.rules, caller.subject, function.target, method)
        refused = failures.from_decision(decision, module, name)
        return refused or await self._call(function, request, caller)

    def methods(self, path: str) -> tuple[str, ...]:
        """Return the methods of what ``path`` names, if it is anything to strangers.

        All that there are, where there is nothing: who only asks for methods does
        not learn what exists.
        """
        with suppress(Refused):
            function = self.app.find(*self.routes.called(path))
            if function is not None:
                decision = decide(self.rules, NOBODY, function.target, "OPTIONS")
                if isinstance(decision, MethodNotAllowed):
                    return decision.allowed
        return CALL_METHODS

    async def _call(
        self, function: Function, request: Request, caller: Caller
    ) -> Response:
        arguments = read_arguments(request, self.config.max_form_fields)
        kwargs = arguments.as_kwargs()
        session = None
        if function.wants_request:
            kwargs["request"] = data = request_data(request, arguments, caller.session)
            session = data.session
        result = await self.runner.run(
            lambda: self.app.call(function, kwargs),
            timeout_s=self.config.timeout,
        )
        response = to_response(result, Answering(request, self.streams, self.random))
        if session is None or session.change is None:
            return response
        cookie = await self.callers.cookie_for(caller, session.change, request)
        return response.with_headers(("Set-Cookie", cookie))
