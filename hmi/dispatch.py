"""Between Starlette and the handlers: rights, sizes, checked bodies, the record, answers and refusals in JSON."""

from __future__ import annotations

import json
import time
import typing
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.users.roles import Role
from hmi.access.asking import asker_of, peer_of
from hmi.access.limits import Buckets
from hmi.access.login import Gatekeeper
from hmi.access.person import Person
from hmi.desk import Desk
from hmi.endpoint import Body, Endpoint, Nothing, Visit
from hmi.refusal import Refusal

_ROLE_WORDS = {Role.OPERATOR: "an operator's", Role.ENGINEER: "an engineer's", Role.ADMINISTRATOR: "an administrator's"}
_STRANGERS_PER_S: Final = 0.2
_STRANGERS_AT_ONCE: Final = 30
"""Refusals of one peer without a login that enter the record."""
_GONE: Final = 499
_MUST_CHANGE: Final = "choose an own password first (POST /api/password)"


@dataclass(slots=True)
class Calls:
    """What was answered, by status, and the brake on what strangers put into the record."""

    by_status: Counter[int] = field(default_factory=Counter)
    strangers: Buckets = field(default_factory=lambda: Buckets(_STRANGERS_PER_S, _STRANGERS_AT_ONCE))


@cache
def _adapter(answer: Any) -> TypeAdapter[Any]:
    """What writes answers of this type; made at its first call, so that the HMI starts sooner."""
    return TypeAdapter(answer)


def route(endpoint: Endpoint, desk: Desk, gatekeeper: Gatekeeper, calls: Calls) -> Route:
    """The Starlette route of an endpoint."""
    record = _Record(endpoint, desk, calls)

    async def answer_to(request: Request, person: Person) -> Response:
        query = _checked(endpoint.query, _plain(endpoint.query, request.query_params), "query")
        body = Nothing() if endpoint.raw else await _body(endpoint, request)
        record.begins(request, person)
        visit = Visit(desk=desk, person=person, body=body, query=query, path=dict(request.path_params), request=request)
        answer = await endpoint.handler(visit)
        if isinstance(answer, Response):
            return answer
        data = json.dumps(answer).encode() if endpoint.answer is None else _adapter(endpoint.answer).dump_json(answer)
        return Response(data, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def serve(request: Request) -> Response:
        person: Person | None = None
        try:
            person = _person(endpoint, request, desk, gatekeeper)
            response = await answer_to(request, person)
        except ClientDisconnect:
            return Response(status_code=_GONE)
        except Refusal as refusal:
            record.refused(request, refusal.person if isinstance(refusal, Denied) else person, refusal)
            response = refused(refusal)
        calls.by_status[response.status_code] += 1
        return response

    return Route(endpoint.path, serve, methods=[endpoint.method])


class _Record:
    """The lines of the audit about calls of one endpoint: what changes something, and what is denied."""

    def __init__(self, endpoint: Endpoint, desk: Desk, calls: Calls) -> None:
        self._endpoint, self._desk, self._calls = endpoint, desk, calls
        self._changes = endpoint.method != "GET" and endpoint.right is not None

    def begins(self, request: Request, person: Person) -> None:
        """Before it is done. Raises `Refusal` (503): what cannot be recorded is not done."""
        if self._changes and not self._line("call", request, person):
            raise Refusal(503, "the record cannot be written: nothing can be changed here")

    def refused(self, request: Request, person: Person | None, refusal: Refusal) -> None:
        """Of somebody who is known all that was denied; of strangers what they tried to change, so many of it."""
        if person is None or not person.name:
            tried = self._endpoint.method != "GET" and self._endpoint.right is not None
            worth = tried or refusal.status == 403
            if not worth or self._calls.strangers.take(peer_of(request), time.monotonic()) > 0:
                return
        elif not self._changes and refusal.status != 403:
            return
        self._line("denied", request, person, status=refusal.status, text=refusal.text[:300])

    def _line(self, step: str, request: Request, person: Person | None, **facts: object) -> bool:
        return self._desk.audit.record(
            step=step,
            call=f"{self._endpoint.method} {request.url.path[:300]}",
            user=person.name if person is not None else "",
            role=person.role.value if person is not None and person.name else "",
            peer=peer_of(request),
            server="hmi",
            **facts,
        )


def refused(refusal: Refusal) -> Response:
    """The one form of every refusal."""
    # In ASCII: what a peer sent may hold halves of characters, which have no place in UTF-8.
    content = json.dumps({"error": refusal.text, "problems": list(refusal.problems)})
    headers = {"Cache-Control": "no-store", **refusal.headers}
    return Response(content, refusal.status, headers=headers, media_type="application/json")


def _person(endpoint: Endpoint, request: Request, desk: Desk, gatekeeper: Gatekeeper) -> Person:
    peer = peer_of(request)
    if endpoint.right is None or (endpoint.open_to is not None and endpoint.open_to(desk.plan, peer)):
        return Person(name="", role=Role.VIEWER, peer=peer)
    asker = asker_of(request, gatekeeper, endpoint.method, touch=not endpoint.quiet)
    person = asker.person
    if asker.must_change and not endpoint.before_change:
        raise Denied(person, _MUST_CHANGE)
    if not person.may(endpoint.right):
        raise Denied(person, f"this needs {_ROLE_WORDS[endpoint.right]} right; {person.name} is {person.role}")
    return person


class Denied(Refusal):
    """A right is missing (403). Who it was enters the record."""

    def __init__(self, person: Person, text: str) -> None:
        super().__init__(403, text)
        self.person = person


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


def _plain(model: type[Body], query: QueryParams) -> dict[str, Any]:
    """The query as the model takes it: what is a list there may be given again and again."""
    lists = {name for name, of in model.model_fields.items() if typing.get_origin(of.annotation) is list}
    return {name: query.getlist(name) if name in lists else query[name] for name in query}


def _checked(model: type[Body], found: Any, where: str) -> Any:
    try:
        return model.model_validate(found)
    except ValidationError as error:
        problems = tuple(
            f"{'.'.join(map(str, each['loc'])) or where}: {each['msg']}" for each in error.errors(include_url=False)
        )
        raise Refusal(422, f"the {where} is not as expected", problems[:50]) from None
