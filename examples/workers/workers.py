"""http workers that call each other, and hear each other's events.

Start it with ``tbtwist start -c examples/workers/config.yaml``, then::

    curl http://127.0.0.1:8000/api/Workers/everybody
    curl 'http://127.0.0.1:8000/api/Workers/ask?worker=http-2'
    curl 'http://127.0.0.1:8001/api/Workers/remember?key=tea&value=green'
    curl 'http://127.0.0.1:8002/api/Workers/recall?key=tea'
"""

from __future__ import annotations

import os
from typing import Any

from tbtwist import Result, export, get_app
from tbtwist.errors import CallTimeout, Unroutable

app = get_app()
known: dict[str, str] = {}


@app.serve("introduce")
async def introduce(greeting: str) -> dict[str, Any]:
    """Answer other workers' calls of ``introduce``."""
    return {"pid": os.getpid(), "answer": f"{greeting} yourself"}


@export(mod_name="Workers", level=0)
async def everybody() -> Result:
    """Ask all http workers; their answers come as a list."""
    return Result.ok(await app.call("http*", "introduce", "hello"))


@export(mod_name="Workers", level=0)
async def ask(worker: str = "http") -> Result:
    """Ask one worker by its id, or with ``http`` any of them.

    Nobody there is an `Unroutable` at once, no answer in time a `CallTimeout`.
    """
    try:
        answer = await app.call(worker, "introduce", "hello", timeout_s=2)
    except (Unroutable, CallTimeout) as error:
        return Result.default_user_error(str(error), exec_code=404)
    return Result.ok(answer)


@app.on_event("remembered")
async def remembered(fact: dict[str, str]) -> None:
    """Hear what any worker has published, this one included.

    An event reaches a worker at most once: good for caches, not for accounts.
    """
    known[fact["key"]] = fact["value"]


@export(mod_name="Workers", level=0)
async def remember(key: str, value: str) -> Result:
    """Tell every worker about a fact."""
    app.publish("remembered", {"key": key, "value": value})
    return Result.ok({key: value})


@export(mod_name="Workers", level=0)
async def recall(key: str) -> Result:
    """Return what this worker has heard."""
    if key not in known:
        return Result.default_user_error(f"I never heard of {key}.", exec_code=404)
    return Result.ok({key: known[key], "pid": os.getpid()})
