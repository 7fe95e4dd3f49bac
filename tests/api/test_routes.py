"""Paths: what is ours, and what they call."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.health import Health
from tbtwist.api.request import Request
from tbtwist.api.response import Response
from tbtwist.api.routes import GET, Route, Routes
from tbtwist.errors import Refused

segment = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=8)


async def nothing(_request: Request) -> Response:
    """Answer with nothing."""
    return Response(204)


FIXED = ("/health", "/api/ping", "/web/logoutS")
ROUTES = Routes(fixed={path: Route(GET, nothing) for path in FIXED})


class OwnsTests(SynchronousTestCase):
    """Whose path it is."""

    def test_ours(self) -> None:
        """The API and the probes are ours."""
        for path in ("/api", "/api/", "/api/M/f", "/health", "/web/logoutS"):
            self.assertTrue(ROUTES.owns(path), path)

    def test_not_ours(self) -> None:
        """Names that begin alike, and everything else, are not."""
        for path in ("/apiX", "/apiX/M/f", "/", "", "/healthy", "/health/", "/API/M/f"):
            self.assertFalse(ROUTES.owns(path), path)

    def test_other_prefix(self) -> None:
        """A configured prefix moves the module calls, with or without a slash."""
        for prefix in ("/rpc", "/rpc/"):
            routes = Routes(prefix, ROUTES.fixed)
            self.assertTrue(routes.owns("/rpc/M/f"))
            self.assertFalse(routes.owns("/api/M/f"))
            self.assertTrue(routes.owns("/api/ping"))
            self.assertEqual(routes.called("/rpc/M/f"), ("M", "f"))


class CalledTests(SynchronousTestCase):
    """Module and function."""

    @given(segment, st.lists(segment, min_size=1, max_size=3))
    def test_roundtrip(self, module: str, function: list[str]) -> None:
        """The first part is the module, all the rest is the function."""
        name = "/".join(function)
        self.assertEqual(Routes().called(f"/api/{module}/{name}"), (module, name))

    def test_dots_and_slashes(self) -> None:
        """Modules may have dots, functions slashes; outer slashes do not count."""
        self.assertEqual(
            Routes().called("/api/CloudM.Auth/a/b/"), ("CloudM.Auth", "a/b")
        )
        self.assertEqual(Routes().called("/api//M/f"), ("M", "f"))

    def test_missing(self) -> None:
        """What is missing is named."""
        for path, word in (
            ("/api", "module"),
            ("/api/", "module"),
            ("/api/M", "function"),
        ):
            error = self.assertRaises(Refused, Routes().called, path)
            self.assertEqual(
                (error.status, error.message), (400, f"Missing {word} name")
            )


class HealthTests(SynchronousTestCase):
    """A worker's condition."""

    def test_status(self) -> None:
        """Ready means started, on the bus if there is one, and not leaving."""
        health = Health("http-1", 7)
        self.assertEqual(health.status, "starting")
        health.ready = True
        self.assertEqual(health.status, "ready")
        health.bus_connected = False
        self.assertEqual(health.status, "starting")
        health.bus_connected = True
        self.assertEqual(health.status, "ready")
        health.draining = True
        self.assertEqual(health.status, "draining")

    def test_counters(self) -> None:
        """Requests are counted once, and are in flight until they have ended."""
        health = Health("http-1", 7)
        health.request_started()
        health.request_started()
        health.request_ended()
        self.assertEqual((health.requests_total, health.in_flight), (2, 1))
