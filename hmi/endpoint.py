"""One call of the API: what it takes, who may, what it answers. All calls are tables of these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from gateway.users.roles import Role
from hmi.access.person import Person
from hmi.desk import Desk
from hmi.plan import HmiPlan

BODY_BYTES: Final = 64 << 10
"""What a call may send unless it says otherwise."""


class Body(BaseModel):
    """What a call takes, in its body or its query: unknown keys are errors, and no number is infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Answer(BaseModel):
    """What a call answers."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Nothing(Body):
    """No keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What one module of `hmi.api` brings: its calls, and what it begins when the process starts."""

    endpoints: Sequence[Endpoint]
    begin: Callable[[Desk], None] | None = None
    """Called once on the loop before anything is served: to listen to changes and alarms, to run in the background."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One call as its handler sees it. `body` and `query` are checked; `path` holds the parts of the address."""

    desk: Desk
    person: Person
    body: Any
    query: Any
    path: Mapping[str, str]
    request: Request


Handler = Callable[[Visit], Awaitable[Any]]
"""Returns what `answer` says (a model, or plain lists, dicts and numbers), or a Starlette `Response` of its own.

Raises `Refusal` for what is not possible.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`right` None: anybody, without a login. `summary` and `tag` go to the OpenAPI document."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    handler: Handler
    summary: str
    tag: str
    right: Role | None = Role.VIEWER
    body: type[Body] = Nothing
    query: type[Body] = Nothing
    answer: Any = None
    """Model, or a type such as ``list[Model]``, of the answer; None: see `media`."""
    media: str = "application/json"
    raw: bool = False
    """The body is not JSON but octets (an upload): the handler reads ``visit.request``."""
    body_bytes: int = BODY_BYTES
    quiet: bool = False
    """A call that a page makes by itself: it keeps no session alive."""
    before_change: bool = False
    """Open to who must first choose an own password."""
    open_to: Callable[[HmiPlan, str], bool] | None = None
    """Whether this peer may call without a login."""
    responses: Mapping[int, str] = field(default_factory=dict)
    """Further statuses that it may answer with, and when; see `hmi.openapi` for those that every call may."""
    answers_with: frozenset[int] = frozenset()
    """Of those the ones that carry `answer`, as 200 does."""
