"""Log in, log out, who am I."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from starlette.responses import JSONResponse, Response

from hmi.access.asking import COOKIE, peer_of, session_of
from hmi.access.login import Gatekeeper
from hmi.access.sessions import Session
from hmi.endpoint import Answer, Body, Endpoint, Visit
from hmi.refusal import Refusal


class Login(Body):
    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=1024)


class WhoAmI(Answer):
    name: str
    role: str
    roles: list[str]
    """The role and those that it includes."""
    csrf: str
    """To be sent as `X-CSRF-Token` with everything that changes something."""
    idle_s: float


def session_endpoints(gatekeeper: Gatekeeper) -> list[Endpoint]:
    """The calls about the session itself."""

    def known(visit: Visit, session: Session) -> WhoAmI:
        person = session.person
        return WhoAmI(
            name=person.name,
            role=person.role.value,
            roles=sorted(person.role.includes),
            csrf=session.csrf,
            idle_s=visit.desk.plan.idle_s,
        )

    async def login(visit: Visit) -> Response:
        body: Login = visit.body
        old = visit.request.cookies.get(COOKIE, "")
        token, session = await gatekeeper.login(body.name, body.password, peer_of(visit.request))
        gatekeeper.sessions.close(old)
        answer = JSONResponse(known(visit, session).model_dump(), headers={"Cache-Control": "no-store"})
        secure = visit.request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, path="/")
        return answer

    async def logout(visit: Visit) -> Response:
        gatekeeper.logout(visit.request.cookies.get(COOKIE, ""), visit.person)
        answer = JSONResponse({}, headers={"Cache-Control": "no-store"})
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    async def who(visit: Visit) -> WhoAmI:
        session = session_of(visit.request, gatekeeper, touch=False)
        if session is None:
            raise Refusal(401, "log in first")
        return known(visit, session)

    tag: Final = "session"
    return [
        Endpoint(
            method="POST",
            path="/api/login",
            handler=login,
            right=None,
            body=Login,
            answer=WhoAmI,
            tag=tag,
            summary="Log in with name and password; the answer sets the session's cookie.",
            responses={401: "name or password is wrong", 429: "too many attempts"},
        ),
        Endpoint(method="POST", path="/api/logout", handler=logout, tag=tag, summary="End this session."),
        Endpoint(
            method="GET",
            path="/api/session",
            handler=who,
            answer=WhoAmI,
            tag=tag,
            quiet=True,
            summary="Who is logged in here.",
        ),
    ]
