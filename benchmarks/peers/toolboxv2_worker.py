"""The real ToolBoxV2 http worker: ``… toolboxv2_worker PORT BUS BUS BUS BUS``.

It runs in a Python that has the package. Of ours it takes the quiet start alone,
so that nothing reaches for a server that is not there; worker, App and WSGI server
are the package's own, with its own settings for production.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from toolboxv2 import Result, get_app
from toolboxv2.utils.manifest.loader import ManifestLoader
from toolboxv2.utils.workers.config import load_config
from toolboxv2.utils.workers.server_worker import HTTPWorker

from tbtwist.apps.toolboxv2.quiet import quiet

_SOCKETS: Final = ("pub", "sub", "req", "http_to_ws")


async def _load_nothing() -> None:
    """Stand for loading every module of the package, which needs more packages."""


async def greet(name: str, request: Any = None) -> Any:
    """Greet ``name``, for somebody who is signed in."""
    who = request.session.user_name if request is not None else ""
    return Result.ok({"hello": name, "from": who})


def main(port: int, *bus_ports: int) -> None:
    """Serve until the end."""
    config = load_config(None)
    for name, bus_port in zip(_SOCKETS, bus_ports, strict=True):
        setattr(config.zmq, f"{name}_endpoint", f"tcp://127.0.0.1:{bus_port}")
    config.zmq.rep_endpoint = config.zmq.req_endpoint
    with quiet(ManifestLoader, offline=True):
        app = get_app(from_="HTTPWorker", name="bench")
    app.load_all_mods_in_file = _load_nothing
    app.tb(mod_name="Bench", name="greet", api=True, request_as_kwarg=True)(greet)
    HTTPWorker("http_bench", config, app=app).run(host="127.0.0.1", port=port)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
