"""The chat's functions, as `tbtwist start --demo` serves them over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tbtwist import App, RequestData, Result, __version__, get_app
from tbtwist.apps.request import AppSession, Headers, LoggedIn, LoggedOut, RequestInfo
from tbtwist.config.loading import load
from tbtwist.demo import chat
from tbtwist.errors import MissingArgument

DEMO = Path(chat.__file__).parent


def ada() -> RequestData:
    """Return the request of somebody who has a name."""
    session = AppSession(
        user_id="chat-1", user_name="Ada", level=1, validated=True, anonymous=False
    )
    return RequestData(session=session)


class ChatTestCase(SynchronousTestCase):
    """The module ``Chat`` as it has been registered."""

    def call(self, name: str, /, **kwargs: object) -> Result:
        """Call a function as the HTTP side does."""
        function = get_app().find("Chat", name)
        assert function is not None, name
        work: Deferred[Result] = Deferred.fromCoroutine(
            get_app().call(function, kwargs)
        )
        return self.successResultOf(work)

    def data(self, name: str, /, **kwargs: object) -> Any:
        """Return what a function that works answers."""
        result = self.call(name, **kwargs)
        self.assertFalse(result.is_error(), result)
        return result.get()


class HelloTests(ChatTestCase):
    """``Chat/hello``."""

    def test_hello(self) -> None:
        """``/api/Chat/hello?name=Ada`` greets Ada; without a name, the world."""
        self.assertEqual({"hello": "Ada"}, self.data("hello", name="Ada"))
        self.assertEqual({"hello": "world"}, self.data("hello"))


class NamesTests(ChatTestCase):
    """``Chat/login``, ``Chat/me`` and ``Chat/logout``."""

    def test_login(self) -> None:
        """I say what people should call me, and my session knows it from then on."""
        request = RequestData()
        answer = self.data("login", name="  Ada   Lovelace ", request=request)
        self.assertEqual("Ada Lovelace", answer["name"])
        change = request.session.change
        assert isinstance(change, LoggedIn)
        self.assertEqual(("Ada Lovelace", 1), (change.user_name, change.level))
        self.assertEqual(answer["user_id"], change.user_id)
        self.assertEqual("Ada Lovelace", self.data("me", request=request)["name"])

    def test_same_name_different_people(self) -> None:
        """Two people can have the same name and are still two people."""
        first = self.data("login", name="Ada", request=RequestData())
        second = self.data("login", name="Ada", request=RequestData())
        self.assertNotEqual(first["user_id"], second["user_id"])

    def test_new_name_same_person(self) -> None:
        """Whoever takes another name remains the same person."""
        answer = self.data("login", name="Countess Lovelace", request=ada())
        self.assertEqual("chat-1", answer["user_id"])

    def test_bad_name(self) -> None:
        """A name that cannot be is 422 with the reason, and changes nothing."""
        request = RequestData()
        for name in ("", "x" * 33, "<b>", "guest-1"):
            result = self.call("login", name=name, request=request)
            self.assertTrue(result.is_error())
            self.assertEqual(422, result.info.exec_code)
            self.assertTrue(result.info.help_text.endswith("."))
        self.assertIsNone(request.session.change)

    def test_no_name(self) -> None:
        """To log in without saying a name is a clear error, not a crash."""
        function = get_app().find("Chat", "login")
        assert function is not None
        work: Deferred[Result] = Deferred.fromCoroutine(
            get_app().call(function, {"request": RequestData()})
        )
        self.failureResultOf(work, MissingArgument)

    def test_me(self) -> None:
        """The page can ask who I am, also when I am nobody."""
        known = {"authenticated": True, "name": "Ada", "user_id": "chat-1"}
        self.assertEqual(known, self.data("me", request=ada()))
        nobody = {"authenticated": False, "name": "guest", "user_id": ""}
        self.assertEqual(nobody, self.data("me", request=RequestData()))

    def test_logout(self) -> None:
        """After logging out I am nobody."""
        request = ada()
        self.data("logout", request=request)
        self.assertIsInstance(request.session.change, LoggedOut)
        self.assertFalse(self.data("me", request=request)["authenticated"])


class FortuneTests(SynchronousTestCase):
    """``Chat/fortune``."""

    def test_fortune(self) -> None:
        """I can borrow an opening line that fits into a message."""
        data = chat.fortune().get()
        self.assertTrue(0 < len(data["text"]) <= 200)
        self.assertTrue(data["thread"])


class AboutTests(ChatTestCase):
    """``Chat/about``."""

    def about(self, headers: dict[str, str], **environ: str) -> Any:
        """Return what ``http-2`` tells about itself in an environment."""
        self.patch(os, "environ", environ)
        request = RequestData(request=RequestInfo(headers=Headers(headers)))
        work = chat.about(App("http-2"), request)
        return self.successResultOf(Deferred.fromCoroutine(work)).get()

    def test_which_worker(self) -> None:
        """I see which worker and which process answered."""
        data = self.about({})
        self.assertEqual(("http-2", os.getpid()), (data["worker"], data["pid"]))
        self.assertEqual(__version__, data["version"])

    def test_ports_of_the_manager(self) -> None:
        """The page finds every worker where the manager really put it."""
        data = self.about({}, TB_HTTP_PORTS="8000,8001", TB_WS_PORTS="40123")
        self.assertEqual(
            ([8000, 8001], [40123]), (data["http_ports"], data["ws_ports"])
        )

    def test_ports_by_hand(self) -> None:
        """Without a manager the page looks where the configuration says."""
        data = self.about({}, TB_WS_PORT="9010")
        self.assertEqual(([8000], [9010]), (data["http_ports"], data["ws_ports"]))

    def test_behind_a_proxy(self) -> None:
        """Behind nginx the page stays at its own address."""
        headers = {"X-Forwarded-For": "192.0.2.7"}
        data = self.about(headers, TB_WS_PORTS="8010")
        self.assertEqual(([], []), (data["http_ports"], data["ws_ports"]))


class AccessTests(SynchronousTestCase):
    """Who may do what."""

    def test_open_to_all(self) -> None:
        """Nobody needs an account for the demo, not for its WebSocket either."""
        functions = get_app().functions["Chat"].values()
        self.assertEqual({0}, {function.level for function in functions})
        self.assertTrue(all(function.api for function in functions))
        self.assertEqual(0, get_app().websocket_handlers["Chat/room"].target.level)

    def test_changes_need_post(self) -> None:
        """A link or an image on another page cannot log me in or out."""
        for name in ("login", "logout"):
            function = get_app().find("Chat", name)
            assert function is not None
            self.assertEqual(frozenset({"POST"}), function.api_methods)

    def test_room(self) -> None:
        """The WebSocket hears who comes, what they say, and who leaves."""
        handlers = get_app().websocket_handlers["Chat/room"]
        self.assertTrue(
            handlers.on_connect and handlers.on_message and handlers.on_disconnect
        )


class ConfigurationTests(SynchronousTestCase):
    """``config.yaml`` of the demo."""

    def test_loads(self) -> None:
        """The demo starts with two http workers and two ws workers on the usual ports."""
        home = Path(self.mktemp())
        home.mkdir()
        environ = {"TB_DATA_DIR": str(home / "data")}
        loaded = load(str(DEMO / "config.yaml"), environ, cwd=home, home=home)
        http, ws = loaded.settings.http_worker, loaded.settings.ws_worker
        self.assertEqual((chat.HTTP_PORT, 2), (http.port, http.workers))
        self.assertEqual((chat.WS_PORT, 2), (ws.port, ws.workers))
        self.assertEqual((), loaded.warnings)
        self.assertEqual(("tbtwist.demo.chat",), loaded.settings.toolbox.modules)
        self.assertTrue(Path(http.static_root).samefile(DEMO / "static"))
