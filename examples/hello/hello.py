"""Functions over HTTP.

Start it with ``tbtwist start -c examples/hello/config.yaml``, then::

    curl 'http://127.0.0.1:8000/api/Hello/greet?name=Ada'
    curl 'http://127.0.0.1:8000/api/Hello/add?a=2&b=40'
    curl 'http://127.0.0.1:8000/api/Hello/add?a=two&b=40'        (422: it says why)
    curl -d 'text=two words' http://127.0.0.1:8000/api/Hello/count
    curl -c jar -d name=Ada http://127.0.0.1:8000/api/Hello/login
    curl -b jar http://127.0.0.1:8000/api/Hello/secret
"""

from __future__ import annotations

import asyncio
import hashlib

from tbtwist import RequestData, Result, export


@export(mod_name="Hello", level=0)
async def greet(name: str = "world") -> dict[str, str]:
    """Answer with JSON. What is no ``Result`` becomes the data of one.

    ``level=0`` lets anybody call this; without it, one has to be logged in.
    """
    await asyncio.sleep(0)  # anything that asyncio can wait for
    return {"greeting": f"Hello, {name}!"}


@export(mod_name="Hello", level=0)
async def add(a: int, b: int) -> Result:
    """Add two numbers; the annotations turn the text of the query into numbers."""
    return Result.ok(a + b)


@export(mod_name="Hello", level=0, api_methods=["POST"])
def count(text: str) -> Result:
    """Work in a thread of the pool: a function without ``async`` may block."""
    if not text:
        return Result.default_user_error("There is nothing to count.", exec_code=422)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Result.ok({"words": len(text.split()), "sha256": digest})


@export(mod_name="Hello", level=0, api_methods=["POST"], request_as_kwarg=True)
async def login(name: str, request: RequestData) -> Result:
    """Log the caller in: the answer sets a signed cookie."""
    request.session.login(user_id=name.lower(), user_name=name, level=1)
    return Result.ok({"welcome": name})


@export(mod_name="Hello", request_as_kwarg=True)
async def secret(request: RequestData) -> Result:
    """Answer those who are logged in; all others get 401 before this is called."""
    return Result.ok({"for": request.session.user_name})
