"""The real ToolBoxV2's WebSocket path: ``… toolboxv2_stack ROLE PORT BUS BUS BUS BUS``.

ROLE is ``broker``, ``http`` or ``ws``, each a process. It runs in a Python that has
the package; of ours it takes the quiet start alone.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from toolboxv2 import get_app
from toolboxv2.utils.manifest.loader import ManifestLoader
from toolboxv2.utils.workers.config import load_config

from tbtwist.apps.toolboxv2.quiet import quiet

_SOCKETS: Final = ("pub", "sub", "req", "http_to_ws")


async def _load_nothing() -> None:
    """Stand for loading every module of the package, which needs more packages."""


def echo(_app: Any) -> dict[str, Callable[..., Any]]:
    """Serve ``/ws/Bench/open_echo``, which sends everything back."""

    async def on_message(payload: Any, **_more: Any) -> Any:
        return payload

    return {"on_message": on_message}


def main(role: str, port: int, *bus_ports: int) -> None:
    """Serve until the end."""
    config = load_config(None)
    config.ws_worker.host, config.ws_worker.port = "127.0.0.1", port
    for name, bus_port in zip(_SOCKETS, bus_ports, strict=True):
        setattr(config.zmq, f"{name}_endpoint", f"tcp://127.0.0.1:{bus_port}")
    config.zmq.rep_endpoint = config.zmq.req_endpoint
    with quiet(ManifestLoader, offline=True):
        app = get_app(from_=role, name="bench")
    app.load_all_mods_in_file = _load_nothing
    logging.disable(logging.INFO)
    if role == "broker":
        from toolboxv2.utils.workers.event_manager import run_broker  # noqa: PLC0415

        asyncio.run(run_broker(config))
    elif role == "ws":
        from toolboxv2.utils.workers.ws_worker import WSWorker  # noqa: PLC0415

        WSWorker("ws_bench", config).run_sync()
    else:
        from toolboxv2.utils.workers.server_worker import HTTPWorker  # noqa: PLC0415

        register = app.tb(mod_name="Bench", websocket_handler="open_echo", row=True)
        register(echo)
        HTTPWorker("http_bench", config, app=app).run(host="127.0.0.1", port=port)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
