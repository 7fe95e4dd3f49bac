"""The real ToolBoxV2 http worker with our sample module: ``python real_worker.py``.

It runs in the Python of the real package. Of ours it takes the quiet start alone,
so that nothing reaches for a server that is not there; worker, App and WSGI server
are the package's own. Arguments: port, first of five free ports for its bus.
"""

import sys

from toolboxv2 import get_app
from toolboxv2.utils.manifest.loader import ManifestLoader
from toolboxv2.utils.workers.config import load_config
from toolboxv2.utils.workers.server_worker import HTTPWorker

from tbtwist.apps.toolboxv2.quiet import quiet


async def _load_nothing() -> None:
    """Stand for loading every module of the package, which needs more packages."""


def main(port: int, bus: int) -> None:
    """Serve until the process is killed."""
    config = load_config(None)
    names = ("pub", "sub", "req", "rep", "http_to_ws")
    for number, name in enumerate(names):
        setattr(config.zmq, f"{name}_endpoint", f"tcp://127.0.0.1:{bus + number}")
    config.zmq.rep_endpoint = config.zmq.req_endpoint
    config.toolbox.open_modules = ["Open"]
    with quiet(ManifestLoader, offline=True):
        app = get_app(from_="HTTPWorker", name="parity")
    app.load_all_mods_in_file = _load_nothing
    __import__("parity_app")
    worker = HTTPWorker("http_parity", config, app=app)
    worker.run(host="127.0.0.1", port=port)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
