"""The worker's own paths beside the session's (R1.2)."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tbtwist import javascript
from tbtwist.api.conditions import Validators, verdict
from tbtwist.api.failures import failure
from tbtwist.api.figures import Report
from tbtwist.api.geo import Locate
from tbtwist.api.health import Health
from tbtwist.api.insiders import Insiders
from tbtwist.api.openapi import Description
from tbtwist.api.request import Request
from tbtwist.api.response import Response, json_response
from tbtwist.observe.prometheus import PROMETHEUS


@attrs.frozen(kw_only=True)
class WorkerPaths:
    """Answers about this worker."""

    health: Health
    report: Report
    description: Description
    insiders: Insiders
    locate: Locate | None
    now: Callable[[], float]

    async def healthy(self, _request: Request) -> Response:
        """Say that the process lives."""
        return json_response(
            {
                "status": "healthy",
                "worker_id": self.health.worker_id,
                "pid": self.health.pid,
                "timestamp": self.now(),
            }
        )

    async def ready(self, _request: Request) -> Response:
        """Say whether requests should come here: 503 while starting or draining."""
        status = self.health.status
        values = {
            "status": status,
            "bus": self.health.bus_connected,
            "worker_id": self.health.worker_id,
        }
        return json_response(values, 200 if status == "ready" else 503)

    async def metrics(self, request: Request) -> Response:
        """Return figures for Prometheus, or as JSON to whom prefers that."""
        if not self.insiders.include(request.client_ip):
            return failure(403, "Figures are for this machine and trusted proxies")
        if "application/json" in request.headers.get("accept", "").lower():
            return json_response(self.report.as_dict())
        headers = (("Content-Type", PROMETHEUS), ("Cache-Control", "no-store"))
        return Response(200, headers, self.report.as_text())

    async def ip(self, request: Request) -> Response:
        """Tell clients their address."""
        return json_response({"ip": request.client_ip})

    async def ping(self, _request: Request) -> Response:
        """Answer, for measuring how long that takes."""
        return json_response({"status": "pong", "timestamp": self.now()})

    async def geo(self, request: Request) -> Response:
        """Tell clients where they seem to be, if there is a database."""
        if self.locate is None:
            return failure(404, "There is no local database of places")
        place = self.locate(request.client_ip)
        return json_response({"ip": request.client_ip, **place})

    async def openapi(self, _request: Request) -> Response:
        """Describe the functions that can be called."""
        return json_response(self.description.document())

    async def script(self, request: Request) -> Response:
        """Serve the JavaScript client."""
        script = javascript.script()
        if verdict(request.headers, Validators(script.etag)) == 200:
            return Response(200, script.headers, script.body)
        return Response(304, script.headers)
