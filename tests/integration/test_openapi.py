"""What ``/api/openapi.json`` promises, held against a real worker by Schemathesis."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.integration.sample import get
from tests.integration.system import environment, spawn
from tests.integration.worker import Worker

MODULE = '''
from __future__ import annotations
import dataclasses
from typing import Annotated, Literal
import msgspec
from tbtwist import RequestData, Result, export

class Item(msgspec.Struct):
    """A thing to buy."""
    name: str
    price: Annotated[float, msgspec.Meta(ge=0)] = 0.0

@dataclasses.dataclass
class Address:
    """Where somebody lives."""
    street: str
    number: int | None = None

READ = ["GET"]
BOTH = ["GET", "POST"]

@export(mod_name="Probe", name="who", level=0, api_methods=READ)
async def who():
    return "me"

@export(mod_name="Probe", name="login", level=0, api_methods=READ)
async def login(request: RequestData):
    request.session.login(user_id="u-1", user_name="Ada", level=1)
    return "in"

@export(mod_name="Probe", name="mine", api_methods=BOTH)
async def mine(request: RequestData, note: str = ""):
    return {"user": request.session.user_id, "note": note}

@export(mod_name="Probe", name="buy", level=0, api_methods=BOTH)
async def buy(item: Item, to: Address | None = None, kind: Literal["a", "b"] = "a"):
    """Buy something.

    It is paid later.
    """
    return {"bought": item.name, "to": to and to.street, "kind": kind}

@export(mod_name="Probe", name="count", level=0, api_methods=BOTH)
def count(number: int, factor: float = 1.0, twice: bool = False):
    return [number, factor, twice]

@export(mod_name="Probe", name="tags", level=0, api_methods=BOTH)
async def tags(words: list[str], note: str | None = None):
    return {"words": words, "note": note}

@export(mod_name="Probe", name="anything", level=0, api_methods=BOTH)
async def anything(**named):
    return sorted(named)

@export(mod_name="Probe", name="loose", level=0, api_methods=BOTH)
def loose(value=None, other="x"):
    return [value, other]

@export(mod_name="Probe", name="photo", level=0, api_methods=["POST"])
async def photo(title: str, files=None):
    return {"title": title, "files": sorted(files or {})}

@export(mod_name="Probe", name="stock/level", level=0, api_methods=["PUT", "DELETE"])
async def stock(name: str, amount: int = 0):
    return {name: amount}

@export(mod_name="Probe", name="page", level=0, api_methods=BOTH)
async def page(title: str = "hi"):
    return Result.html("<p>" + title, row=True)

@export(mod_name="Probe", name="refuses", level=0, api_methods=BOTH)
async def refuses(why: str = ""):
    return Result.error(info="sold out", exec_code=409)
'''
CONFIG = """
[auth.openapi.session]
api_key = "{cookie}"

# On purpose text is converted (contract section 9), and JSON that is no object has
# no parameters (R1.3).
[checks]
negative_data_rejection.enabled = false

# Schemathesis sends lists and objects in forms as many fields, not as the JSON that
# the document asks for.
[[operations]]
include-operation-id = "post_Probe_buy"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = "post_Probe_tags"
checks.positive_data_acceptance.enabled = false
"""
SCHEMATHESIS = ("-c", "from schemathesis.cli import schemathesis; schemathesis()")


class SchemaTests(TestCase):
    """Generated requests, and what every answer must be."""

    timeout = 180

    async def test_promises(self) -> None:
        """What is described is accepted, and every answer is as described.

        No request is answered by an error of the server.
        """
        worker = await Worker.start(self, MODULE)
        base = f"http://127.0.0.1:{worker.port}"
        _, headers, _ = await worker.in_thread(get, f"{base}/api/Probe/login")
        cookie = headers["Set-Cookie"].split(";")[0].partition("=")[2]
        (worker.root / "schemathesis.toml").write_text(CONFIG.format(cookie=cookie))
        schemathesis = spawn(
            self,
            (
                *SCHEMATHESIS,
                "run",
                f"{base}/api/openapi.json",
                *("--generation-deterministic", "--max-examples=25"),
                "--no-color",
            ),
            environment(worker.data_dir, NO_PROXY="*"),
            cwd=worker.root,
        )
        status = await schemathesis.ended
        self.assertEqual(status, 0, schemathesis.output)
        self.assertIn("Tested: 21", schemathesis.output)
        self.assertNotIn("returned only 401", schemathesis.output)
        await worker.ends()
