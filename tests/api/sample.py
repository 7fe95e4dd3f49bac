"""An application with one function for each promise."""

from __future__ import annotations

import asyncio
from typing import Any

from tbtwist.apps.registry import App
from tbtwist.apps.request import RequestData
from tbtwist.apps.result import Result


def sample_app() -> App:
    """Return the application."""
    app = App()
    for register in (_plain, _sessions, _failing, _closed):
        register(app)
    return app


def _plain(app: App) -> None:
    """Functions that everybody may call."""

    @app.tb(mod_name="Open", name="echo")
    async def echo(**named: Any) -> dict[str, Any]:
        return named

    @app.tb(mod_name="Open", name="add")
    async def add(a: int, b: int = 1) -> int:
        return a + b

    @app.tb(mod_name="Open", name="plain")
    def plain() -> str:
        return "from a thread"

    @app.tb(mod_name="Open", name="hidden", api=False)
    async def hidden() -> str:
        return "never"

    @app.tb(mod_name="Open", name="only/put", api_methods=["PUT"])
    async def only_put() -> str:
        return "put"

    @app.tb(mod_name="Open", name="page")
    async def page() -> Result:
        return Result.html("<p>hi", row=True)


def _sessions(app: App) -> None:
    """Functions that look at their caller, and change who that is."""

    @app.tb(mod_name="Open", name="who")
    async def who(request: RequestData) -> dict[str, Any]:
        return {
            "user": request.session.user_id,
            "known": request.is_authenticated,
            "method": request.method,
            "path": request.path,
            "query": request.query_params,
            "body": request.body,
            "agent": request.headers.user_agent,
            "ip": request.client_ip,
        }

    @app.tb(mod_name="Open", name="login")
    async def login(request: RequestData, user: str) -> str:
        request.session.login(user_id=user, user_name="Ann", level=2)
        return "welcome"

    @app.tb(mod_name="Open", name="logout")
    async def logout(request: RequestData) -> str:
        request.session.logout()
        return "bye"


def _failing(app: App) -> None:
    """Functions that do not do what one hopes."""

    @app.tb(mod_name="Open", name="broken")
    async def broken() -> None:
        msg = "the database password is hunter2"
        raise RuntimeError(msg)

    @app.tb(mod_name="Open", name="refuses")
    async def refuses() -> Result:
        return Result.error(info="sold out", exec_code=409)

    @app.tb(mod_name="Open", name="slow")
    async def slow() -> None:
        await asyncio.sleep(60)


def _closed(app: App) -> None:
    """Functions that ask who calls."""

    @app.tb(mod_name="Closed", name="mine")
    async def mine() -> str:
        return "yours"

    @app.tb(mod_name="Closed", name="trusted", level=2)
    async def trusted() -> str:
        return "yours"
