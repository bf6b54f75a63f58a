"""Log in, log out, who am I."""

from __future__ import annotations

import time
from typing import Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.users.store import MAX_PASSWORD, MIN_PASSWORD
from hmi.access.asking import cookie_name, cookie_of, peer_of, secure, session_of
from hmi.access.login import Gatekeeper
from hmi.access.sessions import Session
from hmi.endpoint import Answer, Body, Endpoint, Visit
from hmi.refusal import Refusal


class Login(Body):
    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=MAX_PASSWORD)


class NewPassword(Body):
    old: str = Field(min_length=1, max_length=MAX_PASSWORD)
    new: str = Field(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD)


class WhoAmI(Answer):
    name: str
    role: str
    roles: list[str]
    """The role and those that it includes."""
    csrf: str
    """To be sent as `X-CSRF-Token` with everything that changes something."""
    idle_s: float
    """Without a person's action for so long the session ends."""
    left_s: float
    """So long it still holds if nobody acts."""
    must_change: bool
    """Nothing else is possible before an own password is chosen."""


class _Session:
    """The calls about the session itself."""

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper

    def _known(self, visit: Visit, session: Session) -> WhoAmI:
        person = session.person
        return WhoAmI(
            name=person.name,
            role=person.role.value,
            roles=sorted(person.role.includes),
            csrf=session.csrf,
            idle_s=visit.desk.plan.idle_s,
            left_s=self._gatekeeper.sessions.left_s(session, time.monotonic()),
            must_change=session.must_change,
        )

    def _begun(self, visit: Visit, token: str, session: Session) -> Response:
        answer = JSONResponse(self._known(visit, session).model_dump(), headers={"Cache-Control": "no-store"})
        name, over_tls = cookie_name(visit.request), secure(visit.request)
        answer.set_cookie(name, token, httponly=True, samesite="strict", secure=over_tls, path="/")
        return answer

    async def login(self, visit: Visit) -> Response:
        body: Login = visit.body
        token, session = await self._gatekeeper.login(body.name, body.password, peer_of(visit.request))
        self._gatekeeper.sessions.close(cookie_of(visit.request))
        return self._begun(visit, token, session)

    async def password(self, visit: Visit) -> Response:
        self._session(visit.request, touch=True)  # a program with a token has no password
        body: NewPassword = visit.body
        token, session = await self._gatekeeper.change_password(visit.person, body.old, body.new)
        return self._begun(visit, token, session)

    async def logout(self, visit: Visit) -> Response:
        self._gatekeeper.logout(cookie_of(visit.request), visit.person)
        answer = JSONResponse({}, headers={"Cache-Control": "no-store"})
        over_tls = secure(visit.request)
        answer.delete_cookie(cookie_name(visit.request), path="/", httponly=True, samesite="strict", secure=over_tls)
        return answer

    async def who(self, visit: Visit) -> WhoAmI:
        return self._known(visit, self._session(visit.request, touch=False))

    async def active(self, visit: Visit) -> WhoAmI:
        return self._known(visit, self._session(visit.request, touch=True))

    def _session(self, request: Request, *, touch: bool) -> Session:
        session = session_of(request, self._gatekeeper, touch=touch)
        if session is None:
            raise Refusal(401, "log in first")
        return session


def session_endpoints(gatekeeper: Gatekeeper) -> list[Endpoint]:
    """The calls about the session itself."""
    calls = _Session(gatekeeper)
    tag: Final = "session"
    return [
        Endpoint(
            method="POST",
            path="/api/login",
            handler=calls.login,
            right=None,
            body=Login,
            answer=WhoAmI,
            tag=tag,
            summary="Log in with name and password; the answer sets the session's cookie.",
            responses={401: "name or password is wrong", 429: "too many attempts"},
        ),
        Endpoint(
            method="POST",
            path="/api/logout",
            handler=calls.logout,
            answer=dict[str, str],
            tag=tag,
            before_change=True,
            summary="End this session.",
        ),
        Endpoint(
            method="POST",
            path="/api/password",
            handler=calls.password,
            body=NewPassword,
            answer=WhoAmI,
            tag=tag,
            before_change=True,
            summary="Choose an own password; other sessions of the same user end.",
        ),
        Endpoint(
            method="POST",
            path="/api/session/active",
            handler=calls.active,
            answer=WhoAmI,
            tag=tag,
            before_change=True,
            summary="A person has acted on the page: the session does not end for being idle.",
        ),
        Endpoint(
            method="GET",
            path="/api/session",
            handler=calls.who,
            answer=WhoAmI,
            tag=tag,
            quiet=True,
            before_change=True,
            summary="Who is logged in here.",
        ),
    ]
