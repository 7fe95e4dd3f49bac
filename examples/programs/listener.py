"""A program in asyncio that hears what the workers publish, and answers them.

Start ``tbtwist start -c examples/workers/config.yaml`` first, then::

    python examples/programs/listener.py -c examples/workers/config.yaml
    curl 'http://127.0.0.1:8000/api/Workers/remember?key=tea&value=green'

Handlers run on the program's own loop.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import tbtwist
from tbtwist.errors import TbtwistError


async def listen(config: str | None, number: int) -> None:
    """Print so many facts, then leave."""
    bus = await tbtwist.connect_async(config)
    async with bus:
        facts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        @bus.on_event("remembered")
        async def remembered(fact: dict[str, Any]) -> None:
            await facts.put(fact)

        print(f"{bus.slot} listens", flush=True)
        for _ in range(number):
            fact = await facts.get()
            print(f"{fact['key']} is {fact['value']}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--config", help="as for tbtwist start")
    parser.add_argument("-n", "--number", type=int, default=3)
    options = parser.parse_args()
    try:
        asyncio.run(listen(options.config, options.number))
    except TbtwistError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
