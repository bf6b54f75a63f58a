"""From a request to the person who asks."""

from __future__ import annotations

import time
from typing import Final

from starlette.requests import HTTPConnection

from hmi.access.guard import same_origin
from hmi.access.login import Gatekeeper
from hmi.access.person import Person
from hmi.access.sessions import Session, same
from hmi.refusal import Refusal

COOKIE: Final = "gridgate_session"
CSRF_HEADER: Final = "x-csrf-token"
_READING: Final = frozenset({"GET", "HEAD", "WEBSOCKET"})


def peer_of(request: HTTPConnection) -> str:
    """The address of the peer."""
    return request.client.host if request.client is not None else ""


def session_of(request: HTTPConnection, gatekeeper: Gatekeeper, *, touch: bool) -> Session | None:
    """The session of the request's cookie, if it holds."""
    return gatekeeper.sessions.find(request.cookies.get(COOKIE, ""), time.monotonic(), touch=touch)


def person_of(request: HTTPConnection, gatekeeper: Gatekeeper, method: str, *, touch: bool = True) -> Person:
    """Who asks. Raises `Refusal`: 401 without a session, 403 for a change that does not come from our own page."""
    session = session_of(request, gatekeeper, touch=touch)
    if session is None:
        raise Refusal(401, "log in first")
    if not same_origin(request.headers):
        raise Refusal(403, "this call comes from another site")
    if method not in _READING and not same(request.headers.get(CSRF_HEADER, ""), session.csrf):
        raise Refusal(403, "the page is out of date: load it again")
    return session.person
