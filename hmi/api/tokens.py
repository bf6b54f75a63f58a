"""Tokens for programs: list, make, revoke. A program reads or operates; people are managed by people."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Final

from pydantic import Field

from gateway.users.roles import Role
from hmi.access.login import Gatekeeper
from hmi.access.tokens import MOST, Token
from hmi.endpoint import Answer, Body, Endpoint, Visit
from hmi.refusal import Refusal

TAG: Final = "tokens"
_DAY_MS: Final = 86_400_000


class TokenRole(StrEnum):
    """What a program may be; never an administrator."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"


class NewToken(Body):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@ -]{0,63}$", max_length=64)
    role: TokenRole
    days: int | None = Field(default=None, ge=1, le=3650)
    """It ends after so many days; without: never."""


class TokenFacts(Answer):
    id: str
    name: str
    role: str
    by: str
    made_ms: int
    expires_ms: int
    """0: never."""
    used_ms: int
    """0: not yet."""


class MadeToken(TokenFacts):
    token: str
    """Shown this once: it is kept here as its digest only."""


def token_endpoints(gatekeeper: Gatekeeper) -> list[Endpoint]:
    """For administrators."""
    store = gatekeeper.tokens

    async def all_(visit: Visit) -> list[TokenFacts]:
        return [_facts(token) for token in store.tokens.values()]

    async def make(visit: Visit) -> MadeToken:
        body: NewToken = visit.body
        if len(store.tokens) >= MOST:
            raise Refusal(409, f"there are {MOST} tokens already: revoke what is not needed")
        expires_ms = 0 if body.days is None else time.time_ns() // 1_000_000 + body.days * _DAY_MS
        secret, token = store.make(body.name, Role(body.role.value), visit.person.name, expires_ms)
        await gatekeeper.in_thread(store.keep)
        _record(visit, "token made", token)
        return MadeToken(**_facts(token).model_dump(), token=secret)

    async def revoke(visit: Visit) -> dict[str, str]:
        token = store.revoke(visit.path["id"])
        if token is None:
            raise Refusal(404, f"there is no token {visit.path['id']}")
        await gatekeeper.in_thread(store.keep)
        _record(visit, "token revoked", token)
        return {}

    return [
        Endpoint(
            method="GET",
            path="/api/tokens",
            handler=all_,
            answer=list[TokenFacts],
            summary="All tokens, without what they are.",
            tag=TAG,
            right=Role.ADMINISTRATOR,
        ),
        Endpoint(
            method="POST",
            path="/api/tokens",
            handler=make,
            body=NewToken,
            answer=MadeToken,
            summary="Make a token; the answer alone holds it.",
            responses={409: "there are too many already"},
            tag=TAG,
            right=Role.ADMINISTRATOR,
        ),
        Endpoint(
            method="DELETE",
            path="/api/tokens/{id}",
            handler=revoke,
            answer=dict[str, str],
            summary="Revoke a token: it is good for nothing at once, its streams end.",
            responses={404: "there is no such token"},
            tag=TAG,
            right=Role.ADMINISTRATOR,
        ),
    ]


def _facts(token: Token) -> TokenFacts:
    return TokenFacts(
        id=token.id,
        name=token.name,
        role=token.role.value,
        by=token.by,
        made_ms=token.made_ms,
        expires_ms=token.expires_ms,
        used_ms=token.used_ms,
    )


def _record(visit: Visit, step: str, token: Token) -> None:
    person = visit.person
    facts = {"whom": token.name, "token": token.id, "role": token.role.value}
    visit.desk.audit.record(step=step, user=person.name, peer=person.peer, server="hmi", **facts)
