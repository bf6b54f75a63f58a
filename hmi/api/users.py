"""People who may log in: list, add, change the role, reset the password, remove."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydantic import Field

from gateway.users.roles import Role, highest
from gateway.users.store import NAME, User, hash_password, random_password
from hmi.access.login import Gatekeeper
from hmi.endpoint import Answer, Body, Endpoint, Visit
from hmi.refusal import Refusal

TAG: Final = "users"


class NewUser(Body):
    name: str = Field(pattern=f"^{NAME.pattern}$", max_length=64)
    role: Role


class NewRole(Body):
    role: Role


class UserFacts(Answer):
    name: str
    role: str
    password: bool
    """Whether there is one; without, and without a certificate, nobody can log in."""
    certificates: int
    """For OPC UA."""
    must_change: bool
    sessions: int


class FirstPassword(Answer):
    name: str
    password: str
    """Shown this once. The person must choose an own one at the first login."""


def user_endpoints(gatekeeper: Gatekeeper) -> list[Endpoint]:
    """For administrators."""
    calls = _Users(gatekeeper)
    unknown = {404: "there is no such user"}
    last = unknown | {409: "nobody would be left to manage users"}
    return [
        Endpoint(
            method="GET",
            path="/api/users",
            handler=calls.all,
            answer=list[UserFacts],
            summary="Everybody in the file of users.",
            tag=TAG,
            right=Role.ADMINISTRATOR,
        ),
        Endpoint(
            method="POST",
            path="/api/users",
            handler=calls.add,
            body=NewUser,
            answer=FirstPassword,
            summary="Add a user; the answer holds the first password.",
            responses={409: "there is such a user already"},
            tag=TAG,
            right=Role.ADMINISTRATOR,
        ),
        Endpoint(
            method="PUT",
            path="/api/users/{name}",
            handler=calls.change_role,
            body=NewRole,
            answer=UserFacts,
            summary="Change a user's role; sessions end.",
            responses=last,
            tag=TAG,
            right=Role.ADMINISTRATOR,
        ),
        Endpoint(
            method="POST",
            path="/api/users/{name}/password",
            handler=calls.reset,
            answer=FirstPassword,
            summary="A new first password for a user; sessions end.",
            responses=unknown,
            tag=TAG,
            right=Role.ADMINISTRATOR,
        ),
        Endpoint(
            method="DELETE",
            path="/api/users/{name}",
            handler=calls.remove,
            answer=dict[str, str],
            summary="Remove a user; sessions end.",
            responses=last,
            tag=TAG,
            right=Role.ADMINISTRATOR,
        ),
    ]


class _Users:
    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper

    async def all(self, visit: Visit) -> list[UserFacts]:
        self._gatekeeper.refresh()
        return [self._facts(user) for _, user in sorted(self._gatekeeper.users.users.items())]

    async def add(self, visit: Visit) -> FirstPassword:
        body: NewUser = visit.body
        password = random_password()

        def change(users: dict[str, User]) -> None:
            if body.name in users:
                raise Refusal(409, f"user {body.name} exists already")
            users[body.name] = User(
                name=body.name,
                roles=frozenset((body.role.value,)),
                password=hash_password(password),
                must_change=True,
            )

        await self._gatekeeper.change_users(change)
        self._record(visit, "user added", body.name, role=body.role.value)
        return FirstPassword(name=body.name, password=password)

    async def change_role(self, visit: Visit) -> UserFacts:
        body: NewRole = visit.body
        name = visit.path["name"]

        def change(users: dict[str, User]) -> None:
            users[name] = replace(_known(users, name), roles=frozenset((body.role.value,)))
            _somebody_is_left(users)

        await self._gatekeeper.change_users(change)
        self._record(visit, "user's role changed", name, role=body.role.value)
        return self._facts(self._gatekeeper.users.users[name])

    async def reset(self, visit: Visit) -> FirstPassword:
        name, password = visit.path["name"], random_password()

        def change(users: dict[str, User]) -> None:
            users[name] = replace(_known(users, name), password=hash_password(password), must_change=True)

        await self._gatekeeper.change_users(change)
        self._record(visit, "user's password reset", name)
        return FirstPassword(name=name, password=password)

    async def remove(self, visit: Visit) -> dict[str, str]:
        name = visit.path["name"]

        def change(users: dict[str, User]) -> None:
            del users[_known(users, name).name]
            _somebody_is_left(users)

        await self._gatekeeper.change_users(change)
        self._record(visit, "user removed", name)
        return {}

    def _facts(self, user: User) -> UserFacts:
        return UserFacts(
            name=user.name,
            role=highest(user.all_roles),
            password=bool(user.password),
            certificates=len(user.certificates),
            must_change=user.must_change,
            sessions=self._gatekeeper.sessions.count(user.name),
        )

    @staticmethod
    def _record(visit: Visit, step: str, whom: str, **facts: str) -> None:
        person = visit.person
        visit.desk.audit.record(step=step, whom=whom, user=person.name, peer=person.peer, server="hmi", **facts)


def _known(users: dict[str, User], name: str) -> User:
    if name not in users:
        raise Refusal(404, f"there is no user {name}")
    return users[name]


def _somebody_is_left(users: dict[str, User]) -> None:
    if not any(user.password and Role.ADMINISTRATOR.value in user.all_roles for user in users.values()):
        raise Refusal(409, "this is the last administrator who can log in: make another one first")
