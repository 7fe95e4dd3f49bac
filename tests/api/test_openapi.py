"""``/api/openapi.json`` describes what can be called, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import attrs
import msgspec

from tbtwist.apps.request import RequestData
from tbtwist.apps.result import Result
from tbtwist.config.schema import Settings, Toolbox
from tests.api.core import OPEN, CoreTestCase


class Item(msgspec.Struct):
    """A thing to buy."""

    name: str
    price: Annotated[float, msgspec.Meta(ge=0)] = 0.0


@dataclasses.dataclass
class Address:
    """Where somebody lives."""

    street: str
    number: int | None = None


class OpenApiTests(CoreTestCase):
    """The document."""

    def setUp(self) -> None:
        """Register a function with all kinds of parameters."""
        super().setUp()

        @self.app.tb(mod_name="Shop", name="buy")
        async def buy(
            item: Item,
            to: Address | None = None,
            kind: Literal["a", "b"] = "a",
            counts: list[int] = [],  # noqa: B006 - a default to be shown
            odd: object = object(),
            request: RequestData | None = None,
        ) -> Result:
            """Buy something.

            It is paid later.
            """
            return Result.ok()

    def document(self, settings: Settings = OPEN) -> Any:
        """Return the document."""
        return self.core_with(settings).get("/api/openapi.json").json

    def test_parameters(self) -> None:
        """A GET has its parameters in the query, with their types and defaults."""
        operation = self.document()["paths"]["/api/Open/add"]["get"]
        self.assertEqual(
            operation["parameters"],
            [
                {
                    "name": "a",
                    "in": "query",
                    "required": True,
                    "schema": {"type": "integer"},
                },
                {
                    "name": "b",
                    "in": "query",
                    "required": False,
                    "schema": {"type": "integer", "default": 1},
                },
            ],
        )

    def test_body(self) -> None:
        """A POST has them in an object, as JSON or as a form."""
        document = self.document()
        body = document["paths"]["/api/Shop/buy"]["post"]["requestBody"]
        self.assertTrue(body["required"])
        kinds = set(body["content"])
        self.assertEqual(
            kinds, {"application/json", "application/x-www-form-urlencoded"}
        )
        schema = body["content"]["application/json"]["schema"]
        self.assertEqual(schema["required"], ["item"])
        self.assertEqual(
            list(schema["properties"]), ["item", "to", "kind", "counts", "odd"]
        )
        properties = schema["properties"]
        self.assertEqual(properties["item"], {"$ref": "#/components/schemas/Item"})
        self.assertEqual(properties["kind"], {"enum": ["a", "b"], "default": "a"})
        self.assertEqual(properties["odd"], {})
        item = document["components"]["schemas"]["Item"]
        self.assertEqual(item["properties"]["price"]["minimum"], 0)

    def test_objects_in_a_query(self) -> None:
        """An object in a query is JSON, as our conversion wants it."""
        operation = self.document()["paths"]["/api/Shop/buy"]["get"]
        for parameter in operation["parameters"][:2]:
            self.assertEqual(list(parameter["content"]), ["application/json"])

    def test_objects_in_a_form(self) -> None:
        """Objects and lists in a form are JSON; a list may also be several fields."""
        body = self.document()["paths"]["/api/Shop/buy"]["post"]["requestBody"]
        encoding = body["content"]["application/x-www-form-urlencoded"]["encoding"]
        self.assertEqual(list(encoding), ["item", "to", "counts"])
        self.assertEqual(encoding["item"], {"contentType": "application/json"})
        self.assertNotIn("encoding", body["content"]["application/json"])

    def test_files(self) -> None:
        """A function that takes files says so, and takes a multipart form."""

        @self.app.tb(mod_name="Open", name="upload", api_methods=["POST"])
        async def upload(files: dict[str, Any], title: str = "") -> None: ...

        operations = self.document()["paths"]["/api/Open/upload"]
        self.assertEqual(list(operations), ["post"])
        content = operations["post"]["requestBody"]["content"]
        schema = content["multipart/form-data"]["schema"]
        self.assertEqual(list(schema["properties"]), ["title"])
        self.assertIn("contentMediaType", schema["additionalProperties"])
        self.assertEqual(schema["propertyNames"], {"minLength": 1})

    def test_texts(self) -> None:
        """The docstring is the description."""
        operation = self.document()["paths"]["/api/Shop/buy"]["get"]
        self.assertEqual(operation["summary"], "Buy something.")
        self.assertIn("paid later", operation["description"])
        self.assertEqual(operation["operationId"], "get_Shop_buy")

    def test_who_may(self) -> None:
        """What is public needs no identity, everything else has three ways."""
        paths = self.document()["paths"]
        self.assertEqual(paths["/api/Open/add"]["get"]["security"], [])
        needs = paths["/api/Closed/mine"]["get"]["security"]
        self.assertEqual(needs, [{"session": []}, {"token": []}, {"key": []}])

    def test_only_what_is_exposed(self) -> None:
        """What cannot be called from outside is not even named."""
        paths = self.document()["paths"]
        self.assertNotIn("/api/Open/hidden", paths)
        settings = Settings(toolbox=Toolbox(api_allowed_mods=("Shop",)))
        self.assertEqual(list(self.document(settings)["paths"]), ["/api/Shop/buy"])

    def test_methods(self) -> None:
        """The methods are those of the function."""
        paths = self.document()["paths"]
        self.assertEqual(list(paths["/api/Open/only/put"]), ["put"])
        self.assertEqual(list(paths["/api/Open/add"]), ["get", "post"])

    def test_names(self) -> None:
        """Names of any kind make paths that can be asked for."""

        @self.app.tb(mod_name="Open", name="ä b")
        async def odd() -> None: ...

        @self.app.tb(mod_name="Open", name="{x}")
        async def template() -> None: ...

        paths = self.document()["paths"]
        self.assertIn("/api/Open/%C3%A4%20b", paths)
        self.assertFalse(any("{" in path for path in paths))

    def test_references(self) -> None:
        """Everything that is referred to is there (OpenAPI 3.1)."""
        document = self.document()
        self.assertEqual(document["openapi"], "3.1.0")
        for reference in references(document):
            place: Any = document
            for key in reference.removeprefix("#/").split("/"):
                place = place[key]
        ids = [
            operation["operationId"]
            for operations in document["paths"].values()
            for operation in operations.values()
        ]
        self.assertEqual(len(ids), len(set(ids)))

    def test_failures(self) -> None:
        """Every failure has the envelope."""
        document = self.document()
        responses = document["paths"]["/api/Open/add"]["get"]["responses"]
        for status in ("400", "401", "403", "422", "500", "503", "default"):
            self.assertEqual(
                responses[status], {"$ref": "#/components/responses/Error"}
            )
        answer = self.core.get("/api/Open/add").json
        error = document["components"]["schemas"]["Error"]
        self.assertEqual(sorted(answer), sorted(error["required"]))

    def test_new_functions(self) -> None:
        """A function that is registered later is described as well."""
        before = self.core.get("/api/openapi.json").json["paths"]

        @self.app.tb(mod_name="Open", name="later")
        async def later() -> None: ...

        after = self.core.get("/api/openapi.json").json["paths"]
        self.assertEqual(set(after) - set(before), {"/api/Open/later"})

    def test_types_without_a_schema(self) -> None:
        """An annotation that JSON has no schema for is anything."""

        @attrs.define
        class Strange:
            inner: complex

        def strange(value: Any) -> None: ...

        strange.__annotations__["value"] = Strange
        self.app.tb(mod_name="Open", name="strange")(strange)
        operation = self.document()["paths"]["/api/Open/strange"]["get"]
        self.assertEqual(operation["parameters"][0]["name"], "value")


def references(value: object) -> Iterator[str]:
    """Yield every reference in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
