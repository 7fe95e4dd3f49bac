"""A script beside the server: it asks the workers, and tells them something.

Start ``tbtwist start -c examples/workers/config.yaml`` first, then::

    python examples/programs/script.py -c examples/workers/config.yaml

Synchronous code all the way: `connect` waits for the broker, `call_and_wait` for
the answer.
"""

from __future__ import annotations

import argparse

import tbtwist
from tbtwist.errors import TbtwistError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--config", help="as for tbtwist start")
    options = parser.parse_args()
    try:
        with tbtwist.connect(options.config) as bus:
            for answer in bus.call_and_wait("http*", "introduce", "hello"):
                print(f"process {answer['pid']} says: {answer['answer']}")
            bus.publish("remembered", {"key": "tea", "value": "green"})
            bus.ws_broadcast(
                "Counter/presses", {"type": "news", "text": "tea is ready"}
            )
    except TbtwistError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
