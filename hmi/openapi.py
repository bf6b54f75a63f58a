"""The OpenAPI 3.1 document of all calls, made of their table: what is not in it cannot be called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from gateway import __version__
from hmi.endpoint import Answer, Endpoint, Nothing

_DESCRIPTION: Final = (
    "Programs use a token (`Authorization: Bearer`). Pages use the session's cookie, and send its `csrf` as "
    "`X-CSRF-Token` with everything that is no GET. Refusals are in words. "
    "Live values: a WebSocket at `/api/stream`, same login."
)
_REF: Final = "#/components/schemas/{model}"
_NAMED: Final = re.compile(r"\{(\w+)(?::path)?\}")
_ALWAYS: Final = {422: "the query or the body is not as expected", 429: "too many calls, or too many attempts"}
_LOGGED_IN: Final = {
    401: "no session and no token, or none that holds",
    403: "the right is missing, or the call comes from another site",
    404: "what is named does not exist",
    409: "not possible as things stand; the words say why",
    503: "the core is not reachable, or what cannot be recorded is not done",
}
_WITH_BODY: Final = {
    400: "the body is no JSON",
    413: "the body is too long",
    415: "the body is not of the type that is expected",
}


class Problem(Answer):
    """Every refusal."""

    error: str
    """In words, for a person."""
    problems: list[str]
    """Each thing that is wrong, with its place."""


def document(endpoints: Iterable[Endpoint], site: str, secure: bool) -> dict[str, Any]:
    """The document; plain JSON."""
    calls = list(endpoints)
    schemas = _Schemas(calls)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in calls:
        paths.setdefault(_NAMED.sub(r"{\1}", endpoint.path), {})[endpoint.method.lower()] = _operation(
            endpoint, schemas
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"GridGate, site {site}",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in calls)],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token for a program."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-gridgate_session" if secure else "gridgate_session",
                },
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
            },
        },
    }


def _honest(schema: Any) -> Any:
    """Without defaults that may not be sent: an empty text that stands for what is left out."""
    if isinstance(schema, list):
        return [_honest(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = schema.get("default") == "" and schema.get("minLength", 0) > 0
    return {key: _honest(each) for key, each in schema.items() if not (left_out and key == "default")}


class _Schemas:
    """JSON schemas of all models at once: names that two modules have in common are told apart."""

    def __init__(self, calls: list[Endpoint]) -> None:
        wanted: list[tuple[int, Literal["validation", "serialization"], TypeAdapter[Any]]] = []
        self._problem = len(calls) * 3
        for number, endpoint in enumerate(calls):
            wanted.append((number * 3, "validation", TypeAdapter(endpoint.body)))
            wanted.append((number * 3 + 1, "validation", TypeAdapter(endpoint.query)))
            if endpoint.answer is not None:
                wanted.append((number * 3 + 2, "serialization", TypeAdapter(endpoint.answer)))
        wanted.append((self._problem, "serialization", TypeAdapter(Problem)))
        made, definitions = TypeAdapter.json_schemas(wanted, ref_template=_REF)
        self._by_key = {key: _honest(schema) for (key, _), schema in made.items()}
        self.components: dict[str, Any] = _honest(definitions.get("$defs", {}))
        self._numbers = {id(endpoint): number for number, endpoint in enumerate(calls)}
        self.problem = self._by_key[self._problem]

    def body(self, endpoint: Endpoint) -> dict[str, Any]:
        return self._of(endpoint, 0)

    def query(self, endpoint: Endpoint) -> dict[str, Any]:
        schema = self._of(endpoint, 1)
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        found: dict[str, Any] = self.components.get(name, schema)
        return found

    def answer(self, endpoint: Endpoint) -> dict[str, Any]:
        return self._of(endpoint, 2)

    def _of(self, endpoint: Endpoint, which: int) -> dict[str, Any]:
        found: dict[str, Any] = self._by_key[self._numbers[id(endpoint)] * 3 + which]
        return found


def _operation(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": _responses(endpoint, schemas),
        "security": _security(endpoint),
    }
    if endpoint.right is not None:
        operation["description"] = f"Right: {endpoint.right.value}."
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.raw:
        operation["requestBody"] = {"content": {"application/octet-stream": {}}, "required": True}
    elif endpoint.body is not Nothing:
        content = {"application/json": {"schema": schemas.body(endpoint)}}
        operation["requestBody"] = {"content": content, "required": True}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", endpoint.path.removeprefix("/api")).strip("_")
    return f"{endpoint.method.lower()}_{words}"


def _responses(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    told = dict(_ALWAYS)
    if endpoint.right is not None:
        told |= _LOGGED_IN
    if endpoint.raw or endpoint.body is not Nothing:
        told |= _WITH_BODY
    told |= endpoint.responses
    good: dict[str, Any] = {"description": "Done."}
    if endpoint.answer is not None:
        good["content"] = {"application/json": {"schema": schemas.answer(endpoint)}}
    elif endpoint.media != "application/json":
        good["content"] = {endpoint.media: {}}
    else:
        good["content"] = {"application/json": {"schema": {}}}
    problem = {"application/json": {"schema": schemas.problem}}
    refusals = {
        str(status): {"description": words, "content": problem}
        for status, words in sorted(told.items())
        if status >= 300
    }
    further = {str(status): {"description": words, **_content(good)} for status, words in told.items() if status < 300}
    return {"200": good, **further, **refusals}


def _content(response: dict[str, Any]) -> dict[str, Any]:
    return {"content": response["content"]} if "content" in response else {}


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.right is None:
        return []
    session: dict[str, list[str]] = {"session": []}
    if endpoint.method != "GET":
        session["csrf"] = []
    open_: list[dict[str, list[str]]] = [{}] if endpoint.open_to is not None else []
    return [{"token": []}, session, *open_]


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _NAMED.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint, schemas: _Schemas) -> list[dict[str, Any]]:
    if endpoint.query is Nothing:
        return []
    schema = schemas.query(endpoint)
    fields: dict[str, FieldInfo] = endpoint.query.model_fields
    return [
        {"name": field.alias or name, "in": "query", "required": field.is_required(), "schema": properties[name]}
        for properties in (schema.get("properties", {}),)
        for name, field in fields.items()
        if name in properties
    ]
