"""A ToolBoxV2 module with one function of every kind, for both workers to serve.

It runs in the Python of the real package, so it imports nothing of ours.
"""

import asyncio
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from toolboxv2 import Result, get_app

F = TypeVar("F", bound=Callable[..., Any])
tb: Callable[..., Callable[[F], F]] = get_app("parity").tb
folder = Path(tempfile.gettempdir())
home = Path.cwd()


@tb(mod_name="Open", name="greet", api=True)
def greet(who: str = "you") -> Any:
    """Answer from a plain function."""
    return Result.ok({"hi": who})


@tb(mod_name="Open", name="greet_async", api=True)
async def greet_async(who: str = "you") -> Any:
    """Answer from a coroutine function."""
    await asyncio.sleep(0)
    return Result.ok({"hi": who}, data_info="a greeting", info="Hello")


@tb(mod_name="Open", name="value", api=True)
def value(kind: str = "dict") -> Any:
    """Answer with something that is no Result."""
    values = {
        "dict": {"a": [1, 2.5, None, True]},
        "list": [1, "zwei", {"drei": 3}],
        "text": "Grüße",
        "page": "<p>hello</p>",
        "number": 7,
        "none": None,
    }
    return values[kind]


@tb(mod_name="Open", name="bare", api=True, row=True)
def bare(kind: str = "dict") -> Any:
    """Answer with bare data."""
    return {"a": 1} if kind == "dict" else "text"


@tb(mod_name="Open", name="json", api=True)
def as_json(status: int = 0) -> Any:
    """Answer with JSON, with a status of its own."""
    return Result.json({"x": 1}, status_code=int(status) or None)


@tb(mod_name="Open", name="text", api=True)
def as_text(kind: str = "text/plain") -> Any:
    """Answer with text."""
    return Result.text("a,b\n1,2\n", content_type=kind)


@tb(mod_name="Open", name="html", api=True)
def as_html(status: int = 200) -> Any:
    """Answer with a page."""
    return Result.html("<h1>hello</h1>", status=int(status), row=True)


@tb(mod_name="Open", name="html_headers", api=True)
def html_with_headers() -> Any:
    """Answer with a page and headers."""
    return Result.html("<h1>hello</h1>", headers={"X-Own": "yes"}, row=True)


@tb(mod_name="Open", name="redirect", api=True)
def redirect(to: str = "/elsewhere", status: int = 302) -> Any:
    """Send the client elsewhere."""
    return Result.redirect(to, status_code=int(status))


@tb(mod_name="Open", name="binary", api=True)
def binary(name: str | None = None) -> Any:
    """Answer with bytes."""
    return Result.binary(b"\x00\x01\xff", "image/x-own", download_name=name)


@tb(mod_name="Open", name="file", api=True)
def as_file(name: str = "report.csv") -> Any:
    """Answer with a download."""
    return Result.file(b"a,b\n1,2\n", name)


@tb(mod_name="Open", name="file_path", api=True)
def file_path(name: str = "report.csv") -> Any:
    """Answer with a file of this machine."""
    path = folder / f"parity-{name}"
    path.write_bytes(b"0123456789" * 10)
    return Result.file_path(str(path), filename=name)


@tb(mod_name="Open", name="no_file", api=True)
def no_file() -> Any:
    """Answer with a file that is not there."""
    return Result.file_path(str(folder / "parity-nothing"))


@tb(mod_name="Open", name="stream", api=True)
def stream() -> Any:
    """Answer with text in pieces."""
    return Result.stream(iter(["one\n", "two\n"]), content_type="text/plain")


@tb(mod_name="Open", name="events", api=True)
def events() -> Any:
    """Answer with Server-Sent Events."""

    async def made() -> Any:
        yield {"event": "tick", "data": {"n": 1}}
        yield "plain"

    return Result.sse(made())


@tb(mod_name="Open", name="failure", api=True)
def failure(kind: str = "error", code: int = 0) -> Any:
    """Fail in one of the ways there are."""
    ways: dict[str, Any] = {
        "error": Result.error,
        "user": Result.default_user_error,
        "internal": Result.default_internal_error,
        "custom": Result.custom_error,
    }
    more = {"exec_code": int(code)} if code else {}
    return ways[kind](info="It did not work", **more)


@tb(mod_name="Open", name="crash", api=True)
def crash() -> Any:
    """Raise."""
    msg = "something private"
    raise RuntimeError(msg)


@tb(mod_name="Open", name="nested", api=True)
def nested() -> Any:
    """Answer with the result of another function."""
    return Result.ok(Result.ok({"inner": 1}))


@tb(mod_name="Open", name="forwarded", api=True)
async def forwarded() -> Any:
    """Answer with what another function answered."""
    app = get_app("parity")
    return await app.a_run_any(("Open", "greet_async"), get_results=True, who="me")


@tb(mod_name="Open", name="request", api=True, request_as_kwarg=True)
async def request_of(request: Any = None, who: str = "you") -> Any:
    """Answer with what is known of the request."""
    return {
        "class": f"{type(request).__module__}.{type(request).__name__}",
        "method": request.method,
        "path": request.path,
        "query": request.query_params,
        "form": request.form_data,
        "body": request.body,
        "type": request.content_type,
        "agent": request.headers.user_agent,
        "own": request.headers.to_dict().get("x-own"),
        "user": request.session.user_name,
        "level": request.session.level,
        "anonymous": request.session.anonymous,
        "who": who,
    }


@tb(mod_name="Open", name="data", api=True, request_as_kwarg=True)
async def data_of(request: Any = None) -> Any:
    """Answer with what came as ``data``."""
    return {"data": getattr(request, "data", None), "body": request.body}


@tb(mod_name="Open", name="spread", api=True)
async def spread(first: Any = None, second: Any = None) -> Any:
    """Answer with what came inside of ``data``."""
    return [first, second]


@tb(mod_name="Open", name="anything", api=True)
async def anything(**kwargs: Any) -> Any:
    """Answer with all that came."""
    return dict(sorted(kwargs.items()))


@tb(mod_name="Open", name="with_app", api=True)
def with_app(app: Any, who: str = "you") -> Any:
    """Answer with what is known of the App."""
    return {"class": type(app).__name__, "who": who}


@tb(mod_name="Open", name="needs", api=True)
def needs(item: str) -> Any:
    """Answer with what must be given."""
    return item


@tb(mod_name="Open", name="maybe", api=True)
def maybe(who: str = None) -> Any:  # type: ignore[assignment] # noqa: RUF013 - as many write it
    """Answer with what was given, if anything."""
    return who


@tb(mod_name="Open", name="number", api=True)
def number(count: int = 1) -> Any:
    """Answer with a number and its class."""
    return [count, type(count).__name__]


@tb(mod_name="Open", name="upload", api=True)
def upload(files: Any = None) -> Any:
    """Answer with what is known of the uploads."""
    return {
        name: [file.filename, file.content_type, file.size, len(file.read())]
        for name, file in (files or {}).items()
    }


@tb(mod_name="Open", name="deep/er", api=True)
def deeper() -> Any:
    """Have a slash in the name."""
    return "deep"


@tb(mod_name="Open", name="post_only", api=True, api_methods=["POST"])
def post_only() -> Any:
    """Be there for POST."""
    return "posted"


@tb(mod_name="Open", name="hidden")
def hidden(**kwargs: Any) -> Any:
    """Be no API."""
    return "seen"


@tb(mod_name="Closed", name="member", api=True)
def member() -> Any:
    """Be there for those who are somebody."""
    return "yours"


@tb(mod_name="Closed", name="trusted", api=True, level=2)
def trusted() -> Any:
    """Be there for those who are trusted."""
    return "yours"


@tb(mod_name="Closed", name="free", api=True, level=0)
def free() -> Any:
    """Be there for anybody."""
    return "ours"


@tb(mod_name="Closed", name="open_to_all", api=True)
def open_to_all() -> Any:
    """Be open by its name."""
    return "open"


@tb(mod_name="CloudM.Auth", name="get_discord_auth_url", api=True)
def get_discord_auth_url(app: Any = None, redirect_after: str | None = None) -> Any:
    """Say where a login begins."""
    url = f"https://discord.example/?after={redirect_after}"
    return Result.ok({"auth_url": url, "state": "s"})


@tb(mod_name="CloudM.Auth", name="login_discord", api=True)
async def login_discord(
    app: Any = None, code: str | None = None, state: str | None = None
) -> Any:
    """End a login well."""
    tokens = {"access_token": "a", "refresh_token": "r"}
    user = {"user_id": "usr_1", "username": "Ada", "email": "", "level": 1}
    return Result.ok({"authenticated": True, "redirect_after": "", **user, **tokens})


@tb(mod_name="CloudM.Auth", name="verify_magic_link", api=True)
async def verify_magic_link(app: Any = None, token: str | None = None) -> Any:
    """End a login badly."""
    return Result.default_user_error("Invalid or expired link")


barriers: dict[int, threading.Barrier] = {}
steps: list[str] = []


@tb(mod_name="Open", name="meet", api=True)
def meet(parties: int) -> Any:
    """Block until as many are here, and say in which thread."""
    barriers.setdefault(parties, threading.Barrier(parties)).wait(60)
    return threading.current_thread().name


@tb(mod_name="Open", name="thread", api=True)
def thread(prefix: str = "") -> Any:
    """Say in which thread this runs."""
    return prefix + threading.current_thread().name


begun: list[str] = []


@tb(mod_name="Open", name="begin", initial=True)
def begin(app: Any) -> Any:
    """Run at the start."""
    begun.append(f"{type(app).__name__} {threading.current_thread().name}")


@tb(mod_name="Open", name="end", exit_f=True)
async def end() -> Any:
    """Run at the end."""
    (home / "parity-ended").touch()


@tb(mod_name="Open", name="home", api=True)
def where() -> Any:
    """Say where this worker's files go."""
    return str(home)


@tb(mod_name="Open", name="begun", api=True)
def what_has_begun() -> Any:
    """Say what has run at the start."""
    return begun


@tb(mod_name="Open", name="indirectly", api=True)
async def indirectly(app: Any) -> Any:
    """Call a function without async by its name, in both forms."""
    bare = await app.a_run_any("Open.thread", prefix="bare ")
    full = await app.a_run_any(("Open", "thread"), get_results=True, prefix="full ")
    return [bare, full.get(), str(full.origin)]


@tb(mod_name="Open", name="failing_events", api=True)
def failing_events() -> Any:
    """Answer with events, step by step without async, until one fails."""

    def made() -> Any:
        steps.append(threading.current_thread().name)
        yield "first"
        msg = "something private"
        raise RuntimeError(msg)

    return Result.sse(made())


@tb(mod_name="Open", name="last_step", api=True)
def last_step() -> Any:
    """Say in which thread the last of those steps was taken."""
    return steps[-1]


@tb(mod_name="Open", name="imported", api=True)
def imported(name: str) -> Any:
    """Say whether one of the package's own modules has been imported."""
    return f"toolboxv2.mods.{name}" in sys.modules


@tb(mod_name="Open", websocket_handler="room")
def room(app: Any) -> Any:
    """Talk over a WebSocket."""

    async def on_connect(session: Any, conn_id: str | None = None) -> Any:
        return {"type": "welcome", "path": session["path"]}

    async def on_message(app: Any, payload: Any, conn_id: str, session: Any) -> Any:
        if payload.get("type") == "shout":
            await app.ws_broadcast("Open/room", {"type": "shout", "by": conn_id})
        return {"type": "echo", "data": payload, "app": type(app).__name__}

    def on_disconnect(conn_id: str | None = None, **kwargs: Any) -> Any:
        return None

    return {
        "on_connect": on_connect,
        "on_message": on_message,
        "on_disconnect": on_disconnect,
    }
