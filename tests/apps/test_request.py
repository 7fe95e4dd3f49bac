"""What functions learn about their caller."""

import copy

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.request import (
    AppSession,
    Headers,
    LoggedIn,
    LoggedOut,
    RequestData,
    RequestInfo,
)
from tbtwist.auth.session import SessionData

ANN = SessionData(
    user_id="u1",
    session_id="s1",
    user_name="ann",
    level=2,
    spec="web",
    exp=99.0,
    provider_user_id="p1",
    validated=True,
    anonymous=False,
    extra={"theme": "dark"},
    live_data={"level": "2"},
)


class HeadersTests(SynchronousTestCase):
    """Headers by attribute and by name."""

    def setUp(self) -> None:
        """Some headers."""
        self.headers = Headers({"User-Agent": "x", "accept": "*/*"})

    def test_attribute(self) -> None:
        """Dashes are underscores; what was not sent is None."""
        self.assertEqual(self.headers.user_agent, "x")
        self.assertIsNone(self.headers.authorization)

    def test_get(self) -> None:
        """Names are the same in any case and with either separator."""
        self.assertEqual(self.headers.get("USER-AGENT"), "x")
        self.assertEqual(self.headers.get("user_agent"), "x")
        self.assertEqual(self.headers.get("nope", "d"), "d")

    def test_dict(self) -> None:
        """They turn into a dictionary and back."""
        self.assertEqual(self.headers.to_dict(), {"user-agent": "x", "accept": "*/*"})
        self.assertEqual(Headers(self.headers.to_dict()), self.headers)
        self.assertEqual(hash(Headers(self.headers.to_dict())), hash(self.headers))
        self.assertEqual(sorted(self.headers), ["accept", "user-agent"])

    def test_repr_hides_values(self) -> None:
        """A header's value (a token, maybe) does not get into logs by accident."""
        self.assertNotIn("secret", repr(Headers({"Authorization": "secret"})))
        self.assertIn("authorization", repr(Headers({"Authorization": "secret"})))

    def test_private_names(self) -> None:
        """Python's own look-ups find no header, so copying works."""
        self.assertEqual(copy.deepcopy(self.headers), self.headers)


class SessionTests(SynchronousTestCase):
    """``request.session``."""

    def test_fields(self) -> None:
        """It has the fields of the cookie, under ToolBoxV2's names as well."""
        session = AppSession.of(ANN)
        self.assertEqual(
            (session.user_id, session.user_name, session.level, session.SiID),
            ("u1", "ann", 2, "s1"),
        )
        self.assertEqual(session.cloudm_user_id, "p1")
        self.assertEqual(
            session.extra_data,
            {
                "theme": "dark",
                "exp": 99.0,
                "provider_user_id": "p1",
                "live_data": {"level": "2"},
            },
        )

    def test_nothing_is_forgotten(self) -> None:
        """Whatever a cookie carries, the function sees."""
        known = attrs.asdict(ANN)
        given = attrs.asdict(AppSession.of(ANN))
        self.assertEqual(given.pop("change"), None)
        self.assertEqual(given, known)

    def test_get(self) -> None:
        """Fields and everything else are found by name."""
        session = AppSession.of(ANN)
        self.assertEqual(session.get("user_name"), "ann")
        self.assertEqual(session.get("SiID"), "s1")
        self.assertEqual(session.get("theme"), "dark")
        self.assertEqual(session.get("nope", 1), 1)

    def test_get_finds_no_methods(self) -> None:
        """Only data is found by name, so a name from outside reaches no method."""
        self.assertIsNone(AppSession.of(ANN).get("login"))

    def test_authenticated(self) -> None:
        """Somebody is who was validated, has an id and a level."""
        self.assertTrue(AppSession.of(ANN).is_authenticated)
        self.assertTrue(AppSession.of(ANN).valid)
        self.assertFalse(AppSession().is_authenticated)
        for flaw in ({"level": 0}, {"user_id": ""}, {"validated": False}):
            session = AppSession.of(ANN)
            for name, value in flaw.items():
                setattr(session, name, value)
            self.assertFalse(session.is_authenticated, flaw)

    def test_admin(self) -> None:
        """An admin's level is negative, and an admin is somebody."""
        session = AppSession.of(ANN)
        session.level = -1
        self.assertTrue(session.is_authenticated)

    def test_untouched(self) -> None:
        """A function that only reads changes nothing."""
        self.assertIsNone(AppSession.of(ANN).change)

    def test_login(self) -> None:
        """After a login the rest of the function sees the new user."""
        session = AppSession()
        session.login(user_id="u2", user_name="bob", level=1)
        self.assertEqual(session.change, LoggedIn("u2", "bob", 1))
        self.assertTrue(session.is_authenticated)
        self.assertEqual((session.user_id, session.user_name), ("u2", "bob"))

    def test_impossible_login(self) -> None:
        """Nobody can be logged in as nobody, or with a level that does not exist."""
        session = AppSession()
        for user_id, level in (("u", 0), ("u", 3), ("", 1)):
            with self.assertRaises(ValueError):
                session.login(user_id=user_id, level=level)
        self.assertIsNone(session.change)
        self.assertFalse(session.is_authenticated)

    def test_logout(self) -> None:
        """After a logout the rest of the function sees nobody."""
        session = AppSession.of(ANN)
        session.logout()
        self.assertEqual(session.change, LoggedOut())
        self.assertFalse(session.is_authenticated)
        self.assertEqual((session.user_id, session.level), ("", 0))

    def test_last_change_counts(self) -> None:
        """Who logs out and in again in one call is logged in."""
        session = AppSession.of(ANN)
        session.logout()
        session.login(user_id="u3")
        self.assertEqual(session.change, LoggedIn("u3", "", 1))


class RequestDataTests(SynchronousTestCase):
    """``request``."""

    def setUp(self) -> None:
        """A request of Ann's."""
        self.request = RequestData(
            request=RequestInfo(
                method="POST",
                path="/api/Shop/buy",
                content_type="application/json",
                headers=Headers({"X-A": "b"}),
                query_params={"q": ["1", "2"]},
                body="{}",
            ),
            session=AppSession.of(ANN),
            session_id="s1",
        )

    def test_delegation(self) -> None:
        """What the request has can be asked of it directly."""
        self.assertEqual(self.request.method, "POST")
        self.assertEqual(self.request.headers.x_a, "b")
        self.assertEqual(self.request.query_params, {"q": ["1", "2"]})
        self.assertTrue(self.request.is_authenticated)

    def test_get(self) -> None:
        """An attribute can be asked for by name, with a default."""
        self.assertEqual(self.request.get("path"), "/api/Shop/buy")
        self.assertEqual(self.request.get("session_id"), "s1")
        self.assertEqual(self.request.get("nope", 3), 3)

    def test_unknown(self) -> None:
        """What nobody knows is an AttributeError, as everywhere in Python."""
        with self.assertRaises(AttributeError):
            self.request.nope  # noqa: B018 - that is the test

    def test_round_trip(self) -> None:
        """It survives being turned into plain values and back."""
        again = RequestData.from_dict(self.request.to_dict())
        self.assertEqual(again.request, self.request.request)
        self.assertEqual(again.to_dict(), self.request.to_dict())
        self.assertEqual(again.session.user_name, "ann")

    def test_from_little(self) -> None:
        """Missing parts are empty; what a session has beside its fields is kept."""
        request = RequestData.from_dict(
            {"session": {"SiID": "s9", "cloudm_user_id": "p9", "color": "red"}}
        )
        self.assertEqual(request.session.session_id, "s9")
        self.assertEqual(request.session.cloudm_user_id, "p9")
        self.assertEqual(request.session.get("color"), "red")
        self.assertEqual(request.method, "GET")

    def test_copy(self) -> None:
        """It can be copied, although it passes unknown names on."""
        self.assertEqual(copy.copy(self.request).path, "/api/Shop/buy")

    def test_repr_hides_the_body(self) -> None:
        """A body (a password, maybe) does not get into logs by accident."""
        self.assertNotIn("hunter2", repr(RequestInfo(body="hunter2")))
