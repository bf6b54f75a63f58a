"""Between Starlette and the handlers: rights, sizes, checked bodies, answers and refusals in JSON."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.users.roles import Role
from hmi.access.asking import peer_of, person_of
from hmi.access.login import Gatekeeper
from hmi.access.person import Person
from hmi.desk import Desk
from hmi.endpoint import Body, Endpoint, Nothing, Visit
from hmi.refusal import Refusal

_ROLE_WORDS = {Role.OPERATOR: "an operator's", Role.ENGINEER: "an engineer's", Role.ADMINISTRATOR: "an administrator's"}


def route(endpoint: Endpoint, desk: Desk, gatekeeper: Gatekeeper) -> Route:
    """The Starlette route of an endpoint."""
    adapter: TypeAdapter[Any] | None = None if endpoint.answer is None else TypeAdapter(endpoint.answer)

    async def serve(request: Request) -> Response:
        try:
            person = _person(endpoint, request, gatekeeper)
            query = _checked(endpoint.query, dict(request.query_params), "query")
            body = Nothing() if endpoint.raw else await _body(endpoint, request)
            visit = Visit(
                desk=desk, person=person, body=body, query=query, path=dict(request.path_params), request=request
            )
            answer = await endpoint.handler(visit)
        except Refusal as refusal:
            return refused(refusal)
        if isinstance(answer, Response):
            return answer
        data = json.dumps(answer).encode() if adapter is None else adapter.dump_json(answer)
        return Response(data, media_type="application/json", headers={"Cache-Control": "no-store"})

    return Route(endpoint.path, serve, methods=[endpoint.method])


def refused(refusal: Refusal) -> JSONResponse:
    """The one form of every refusal."""
    content = {"error": refusal.text, "problems": list(refusal.problems)}
    return JSONResponse(content, refusal.status, headers={"Cache-Control": "no-store", **refusal.headers})


def _person(endpoint: Endpoint, request: Request, gatekeeper: Gatekeeper) -> Person:
    if endpoint.right is None:
        return Person(name="", role=Role.VIEWER, peer=peer_of(request))
    person = person_of(request, gatekeeper, endpoint.method, touch=not endpoint.quiet)
    if not person.may(endpoint.right):
        raise Refusal(403, f"this needs {_ROLE_WORDS[endpoint.right]} right; {person.name} is {person.role}")
    return person


async def _body(endpoint: Endpoint, request: Request) -> Any:
    if endpoint.body is Nothing:
        return Nothing()
    octets = await read_body(request, endpoint.body_bytes)
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(415, "a body of type application/json is expected")
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is no JSON") from None
    return _checked(endpoint.body, found, "body")


async def read_body(request: Request, limit: int) -> bytes:
    """All octets of the body. Raises `Refusal` (413) as soon as there are more than `limit`."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > limit:
            raise Refusal(413, f"the body has more than {limit} octets")
    return bytes(found)


def _checked(model: type[Body], found: Any, where: str) -> Any:
    try:
        return model.model_validate(found)
    except ValidationError as error:
        problems = tuple(
            f"{'.'.join(map(str, each['loc'])) or where}: {each['msg']}" for each in error.errors(include_url=False)
        )
        raise Refusal(422, f"the {where} is not as expected", problems[:50]) from None
