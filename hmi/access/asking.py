"""From a request to the person who asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import HTTPConnection

from hmi.access.guard import same_origin
from hmi.access.login import Gatekeeper
from hmi.access.person import Person
from hmi.access.sessions import Session, same
from hmi.refusal import Refusal

CSRF_HEADER: Final = "x-csrf-token"
BACKGROUND_HEADER: Final = "x-background"
"""Sent by the page with calls while nobody has touched it: they keep no session alive."""
_COOKIE: Final = "gridgate_session"
_READING: Final = frozenset({"GET", "HEAD", "WEBSOCKET"})
_SECURE: Final = frozenset({"https", "wss"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks; `holds` says whether the session or token behind it still does, `at_end` takes what follows its end."""

    person: Person
    holds: Callable[[], bool]
    at_end: set[Callable[[], None]]
    must_change: bool = False


def secure(request: HTTPConnection) -> bool:
    """Whether it came over TLS."""
    return request.url.scheme in _SECURE


def cookie_name(request: HTTPConnection) -> str:
    """Over TLS with the prefix that binds it to this host and to TLS."""
    return f"__Host-{_COOKIE}" if secure(request) else _COOKIE


def cookie_of(request: HTTPConnection) -> str:
    """The session's token; empty without."""
    return request.cookies.get(cookie_name(request), "")


def peer_of(request: HTTPConnection) -> str:
    """The address of the peer."""
    return request.client.host if request.client is not None else ""


def session_of(request: HTTPConnection, gatekeeper: Gatekeeper, *, touch: bool) -> Session | None:
    """The session of the request's cookie, if it holds."""
    return gatekeeper.sessions.find(cookie_of(request), time.monotonic(), touch=touch)


def asker_of(request: HTTPConnection, gatekeeper: Gatekeeper, method: str, *, touch: bool = True) -> Asker:
    """Who asks. Raises `Refusal`: 401 without a session or token, 403 for a change that is not from our own page."""
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return _program(bearer.strip(), request, gatekeeper)
    touch = touch and BACKGROUND_HEADER not in request.headers
    session = session_of(request, gatekeeper, touch=touch)
    if session is None:
        raise Refusal(401, "log in first")
    if not same_origin(request.headers):
        raise Refusal(403, "this call comes from another site")
    if method not in _READING and not same(request.headers.get(CSRF_HEADER, ""), session.csrf):
        raise Refusal(403, "the page is out of date: load it again")
    return Asker(
        person=replace(session.person, peer=peer_of(request)),
        holds=lambda: session_of(request, gatekeeper, touch=False) is session,
        at_end=session.at_end,
        must_change=session.must_change,
    )


def _program(bearer: str, request: HTTPConnection, gatekeeper: Gatekeeper) -> Asker:
    token = gatekeeper.tokens.find(bearer)
    if token is None:
        raise Refusal(401, "this token is not known here, or has expired", headers={"WWW-Authenticate": "Bearer"})
    person = Person(name=f"token {token.name}", role=token.role, peer=peer_of(request), program=True)
    return Asker(
        person=person,
        holds=lambda: gatekeeper.tokens.find(bearer) is token,
        at_end=gatekeeper.tokens.at_end.setdefault(token.id, set()),
    )
