"""``/api/openapi.json``: exposed functions, as their annotations describe them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs
import msgspec

import tbtwist
from tbtwist.api.arguments import FILES, REQUEST
from tbtwist.api.bodies import FORM, MULTIPART
from tbtwist.api.routes import CALL_METHODS
from tbtwist.apps.application import Application
from tbtwist.apps.functions import Function
from tbtwist.apps.signature import Parameter
from tbtwist.auth.access import NOBODY, AccessRules, Allowed, NotExposed, decide

JsonObject = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{name}"
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_DESCRIBED: Final = ("GET", "POST")
"""The methods of a function that does not say which it takes: all would be noise."""
_FAILURES: Final = (400, 401, 403, 404, 405, 413, 415, 422, 500, 503, 504)
_FILES: Final = {
    "propertyNames": {"minLength": 1},
    "additionalProperties": {
        "type": "string",
        "contentMediaType": "application/octet-stream",
    },
}
_AS_JSON: Final = {"contentType": "application/json"}
_NULLABLE_TEXT: Final = {"type": ["string", "null"]}

_ERROR: Final = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
}
_ENVELOPE: Final = {
    "type": "object",
    "required": ["error", "result", "info", "origin"],
    "properties": {
        "error": {"const": "none"},
        "result": {
            "type": "object",
            "required": ["data_to", "data_info", "data", "data_type"],
            "properties": {
                "data_to": {"type": "string"},
                "data_info": _NULLABLE_TEXT,
                "data": {},
                "data_type": _NULLABLE_TEXT,
            },
        },
        "info": {
            "type": "object",
            "required": ["exec_code", "help_text"],
            "properties": {
                "exec_code": {"type": "integer"},
                "help_text": {"type": "string"},
            },
        },
        "origin": {"type": ["array", "string", "null"], "items": {"type": "string"}},
    },
}
_SECURITY: Final = {
    "session": {"type": "apiKey", "in": "cookie", "name": "tb_session"},
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_RESPONSES: Final = {
    "Error": {
        "description": "It failed; the status says how.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}
        },
    },
    "Done": {
        "description": "What the function returned; some return a page or a file.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}},
            "*/*": {},
        },
    },
}


@attrs.define(eq=False)
class Description:
    """Describes what an application exposes; made again when that changes."""

    _app: Application
    _rules: AccessRules
    _prefix: str
    _made_of: tuple[Function, ...] = ()
    _document: JsonObject = attrs.Factory(dict)

    def document(self) -> JsonObject:
        """Return the OpenAPI 3.1 document."""
        functions = tuple(self._exposed())
        if functions != self._made_of or not self._document:
            self._made_of, self._document = functions, self._make(functions)
        return self._document

    def _exposed(self) -> Iterator[Function]:
        for module in sorted(self._app.functions):
            for _, function in sorted(self._app.functions[module].items()):
                decision = decide(self._rules, NOBODY, function.target, None)
                braces = any(c in module + function.name for c in "{}")
                if not isinstance(decision, NotExposed) and not braces:
                    yield function

    def _make(self, functions: Iterable[Function]) -> JsonObject:
        schemas = _Schemas.of(functions)
        paths = {self._path(f): self._operations(f, schemas) for f in functions}
        own = {"Error": _ERROR, "Envelope": _ENVELOPE}
        return {
            "openapi": "3.1.0",
            "info": {"title": "tbtwist", "version": tbtwist.__version__},
            "paths": paths,
            "components": {
                "schemas": {**schemas.components, **own},
                "responses": _RESPONSES,
                "securitySchemes": _SECURITY,
            },
        }

    def _path(self, function: Function) -> str:
        place = quote(f"{function.module}/{function.name}", safe="/")
        return f"{self._prefix.rstrip('/')}/{place}"

    def _operations(self, function: Function, schemas: _Schemas) -> JsonObject:
        methods = function.api_methods or _DESCRIBED
        operation = _Operation(function, schemas, self._is_public(function))
        return {m.lower(): operation.of(m) for m in CALL_METHODS if m in methods}

    def _is_public(self, function: Function) -> bool:
        decision = decide(self._rules, NOBODY, function.target, None)
        return isinstance(decision, Allowed)


@attrs.frozen
class _Schemas:
    """JSON schemas of annotations; those that have none are anything."""

    known: Mapping[int, JsonObject]
    components: JsonObject

    @classmethod
    def of(cls, functions: Iterable[Function]) -> _Schemas:
        parameters = [p for f in functions for p in _parameters(f) if _has_schema(p)]
        found, components = msgspec.json.schema_components(
            [p.annotation for p in parameters], ref_template=_REFERENCE
        )
        by_id = {id(p): s for p, s in zip(parameters, found, strict=True)}
        return cls(by_id, components)

    def get(self, parameter: Parameter) -> JsonObject:
        schema = dict(self.known.get(id(parameter), {}))
        default = _plain(parameter)
        return schema if default is msgspec.UNSET else {**schema, "default": default}


def _has_schema(parameter: Parameter) -> bool:
    try:
        msgspec.json.schema(parameter.annotation)
    except Exception:  # noqa: BLE001 - any annotation may stand there
        return False
    return True


def _plain(parameter: Parameter) -> Any:
    """Return a default as JSON has it; UNSET if there is none to be shown."""
    if parameter.required or parameter.default is None:
        return msgspec.UNSET
    try:
        return msgspec.to_builtins(parameter.default)
    except (TypeError, ValueError):
        return msgspec.UNSET


def _parameters(function: Function) -> Iterator[Parameter]:
    """Return what clients may send."""
    for name, parameter in function.signature.parameters.items():
        if name not in (REQUEST, FILES):
            yield parameter


def _is_structured(schema: JsonObject) -> bool:
    """Whether text for it must be JSON, as in `tbtwist.apps.arguments`."""
    several = schema.get("anyOf", ())
    own = "$ref" in schema or schema.get("type") == "object"
    return own or any(_is_structured(one) for one in several)


def _may_be_json(schema: JsonObject) -> bool:
    """Whether a form's text for it can be JSON; a list can also come as many fields."""
    several = schema.get("anyOf", ())
    own = schema.get("type") == "array" or _is_structured(schema)
    return own or any(_may_be_json(one) for one in several)


@attrs.frozen
class _Operation:
    function: Function
    schemas: _Schemas
    public: bool

    def of(self, method: str) -> JsonObject:
        """Return the description for one method."""
        function = self.function
        text = inspect.getdoc(function.func) or ""
        values: JsonObject = {
            "operationId": f"{method.lower()}_{function.module}_{function.name}",
            "tags": [function.module],
            "summary": text.partition("\n")[0] or function.name,
            "responses": self._responses(),
            "security": [] if self.public else [{name: []} for name in _SECURITY],
        }
        if text:
            values["description"] = text
        if method in _WITH_BODY:
            return {**values, "requestBody": self._body()}
        return {**values, "parameters": [self._query(p) for p in _parameters(function)]}

    def _responses(self) -> JsonObject:
        failed = {"$ref": "#/components/responses/Error"}
        done = {"200": {"$ref": "#/components/responses/Done"}}
        return {**done, **{str(s): failed for s in _FAILURES}, "default": failed}

    def _query(self, parameter: Parameter) -> JsonObject:
        schema = self.schemas.get(parameter)
        shape: JsonObject = {"schema": schema}
        if _is_structured(schema):
            shape = {"content": {"application/json": {"schema": schema}}}
        where = {"name": parameter.name, "in": "query", "required": parameter.required}
        return {**where, **shape}

    def _body(self) -> JsonObject:
        parameters = tuple(_parameters(self.function))
        required = [p.name for p in parameters if p.required]
        properties = {p.name: self.schemas.get(p) for p in parameters}
        schema: JsonObject = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        content: JsonObject = {"application/json": {"schema": schema}}
        as_json = {n: _AS_JSON for n, s in properties.items() if _may_be_json(s)}
        form = {"encoding": as_json} if as_json else {}
        content[FORM] = {"schema": schema, **form}
        if FILES in self.function.signature.parameters:
            content[MULTIPART] = {"schema": {**schema, **_FILES}, **form}
        return {"required": bool(required), "content": content}
