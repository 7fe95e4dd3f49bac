"""A Flask application, as a user might have one."""

from __future__ import annotations

import io
from collections.abc import Iterator

from flask import (
    Flask,
    Response,
    abort,
    make_response,
    redirect,
    request,
    send_file,
    session,
    url_for,
)

application = Flask(__name__)
application.secret_key = "for tests"


@application.get("/")
def index() -> str:
    """Say where this is."""
    return f"{request.script_root}|{request.path}|{url_for('show', name='x')}"


@application.get("/show/<path:name>")
def show(name: str) -> dict[str, object]:
    """Say what was asked for."""
    return {
        "name": name,
        "args": request.args.to_dict(),
        "client": request.remote_addr,
        "secure": request.is_secure,
        "url": request.url,
        "proxy": request.environ.get("HTTP_PROXY"),
    }


@application.post("/upload")
def upload() -> dict[str, object]:
    """Take a file and a field."""
    file = request.files["doc"]
    size = sum(len(block) for block in iter(lambda: file.stream.read(65536), b""))
    return {"name": file.filename, "size": size, "note": request.form["note"]}


@application.post("/raw")
def raw() -> dict[str, int]:
    """Take any body."""
    return {"size": len(request.get_data())}


@application.get("/stream")
def stream() -> Response:
    """Answer in pieces."""

    def pieces() -> Iterator[bytes]:
        for number in range(5):
            yield b"%d\n" % number

    return Response(pieces(), mimetype="text/plain")


@application.get("/file")
def file() -> Response:
    """Answer with a file."""
    return send_file(io.BytesIO(b"0123456789" * 30_000), "application/x-own")


@application.get("/login")
def login() -> Response:
    """Set two cookies and send the client on."""
    session["user"] = request.args["user"]
    answer = make_response(redirect(url_for("who")))
    answer.set_cookie("theme", "dark")
    return answer


@application.get("/who")
def who() -> str:
    """Say who this is."""
    return f"{session.get('user')} {request.cookies.get('theme')}"


@application.get("/teapot")
def teapot() -> str:
    """Refuse."""
    return abort(418)


@application.get("/crash")
def crash() -> str:
    """Fail; Flask has a page for that."""
    msg = "private"
    raise RuntimeError(msg)
