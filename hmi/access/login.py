"""Logging in and out: passwords checked beside the loop, guessing braked, every attempt recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from gateway.audit import AuditLog
from gateway.contracts.log import Log
from gateway.users.lockout import Lockout
from gateway.users.roles import Role, highest
from gateway.users.store import (
    MAX_PASSWORD,
    User,
    UserFileError,
    UserStore,
    changed_users,
    hash_password,
)
from hmi.access.limits import Buckets
from hmi.access.person import Person
from hmi.access.sessions import Session, Sessions
from hmi.access.tokens import TokenStore
from hmi.refusal import Refusal

_CHECKS: Final = 4
"""Passwords that may wait to be checked at one time: each costs 20 MB and 20 ms."""
_LOGINS_PER_S: Final = 1.0
_LOGINS_AT_ONCE: Final = 40
_LOOK_S: Final = 1.0
_Made = TypeVar("_Made")


class Gatekeeper:
    """Users, sessions, tokens and the brake.

    The brake counts failures by address, and by user and address, so that nobody locks out somebody who sits elsewhere;
    by user alone it is wider and shorter.
    """

    def __init__(self, users: Path, sessions: Sessions, tokens: TokenStore, audit: AuditLog, log: Log) -> None:
        self.users, self.sessions, self.tokens = UserStore(users), sessions, tokens
        self._audit, self._log = audit, log
        self._lockout, self._everywhere = Lockout(), Lockout(free=30, most_s=60.0)
        self._logins = Buckets(_LOGINS_PER_S, _LOGINS_AT_ONCE)
        self._checker = ThreadPoolExecutor(1, "hmi-password")
        self._waiting = 0

    def refresh(self) -> None:
        """Take over a changed file of users; people who are gone from it, or are not as before, are logged out."""
        before = self.users.users
        try:
            if not self.users.refresh():
                return
        except UserFileError as error:
            self._log.error("users cannot be read", cause=str(error))
            return
        for name in self.sessions.people():
            if self.users.users.get(name) != before.get(name):
                self.sessions.close_all(name)
                self._log.info("logged out: the user was removed or changed", user=name)

    async def watch(self) -> None:
        """See changes of the files, and end what has run out; for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.refresh()
            self.sessions.sweep(time.monotonic())
            await self.in_thread(self.tokens.keep)

    async def in_thread(self, work: Callable[[], _Made]) -> _Made:
        """What hashes, or writes the files, in the one thread for it."""
        return await asyncio.get_running_loop().run_in_executor(self._checker, work)

    async def login(self, name: str, password: str, peer: str) -> tuple[str, Session]:
        """Token and session. Raises `Refusal`: 401 for a wrong name or password, 429 while it must wait."""
        self.refresh()
        user = await self._proven(name, password, peer)
        self._record("login", name, peer)
        person = Person(name=user.name, role=Role(highest(user.all_roles)), peer=peer)
        return self.sessions.open(person, time.monotonic(), must_change=user.must_change)

    async def change_password(self, person: Person, old: str, new: str) -> tuple[str, Session]:
        """An own new password: every session of this user ends, and a new one begins.

        Raises `Refusal`: 403 for a wrong old password, 409 for a new one that is none.
        """
        if not await self._is_right(person.name, old, person.peer):
            raise Refusal(403, "the present password is wrong")
        if new == old or new.lower() == person.name.lower():
            raise Refusal(409, "the new password is the old one, or the name: choose another")
        await self.change_user(person.name, lambda user: replace(user, password=hash_password(new), must_change=False))
        self._record("password changed", person.name, person.peer)
        self.sessions.close_all(person.name)
        return self.sessions.open(person, time.monotonic())

    async def change_users(self, change: Callable[[dict[str, User]], None]) -> None:
        """Change the file of users. Raises what `change` raises; `Refusal` (409) when it cannot be written."""

        def work() -> None:
            with changed_users(self.users.path) as users:
                change(users)

        try:
            await self.in_thread(work)
        except UserFileError as error:
            raise Refusal(409, str(error)) from None
        self.refresh()

    async def change_user(self, name: str, change: Callable[[User], User]) -> None:
        """Change one user. Raises `Refusal` (404) for one who is not there."""

        def work(users: dict[str, User]) -> None:
            if name not in users:
                raise Refusal(404, f"there is no user {name}")
            users[name] = change(users[name])

        await self.change_users(work)

    def logout(self, token: str, person: Person) -> None:
        """End this session."""
        self.sessions.close(token)
        self._record("logout", person.name, person.peer)

    async def _proven(self, name: str, password: str, peer: str) -> User:
        if not await self._is_right(name, password, peer):
            raise Refusal(401, "name or password is wrong")
        return self.users.users[name]

    async def _is_right(self, name: str, password: str, peer: str) -> bool:
        """Whether this is the password. Raises `Refusal` (429) while it must wait."""
        now_s, keys = time.monotonic(), (f"user {name} peer {peer}", f"peer {peer}")
        locked_s = max(self._lockout.remaining_s(now_s, *keys), self._everywhere.remaining_s(now_s, name))
        wait_s = locked_s if locked_s > 0 else self._logins.take(peer, now_s)
        if wait_s > 0 or self._waiting >= _CHECKS:
            self._record("refused", name, peer)
            raise too_many(max(1.0, wait_s))
        self._waiting += 1
        try:
            user = await self.in_thread(lambda: self.users.verify_password(name, password[: MAX_PASSWORD + 1]))
        finally:
            self._waiting -= 1
        if user is None:
            self._record("wrong", name, peer)
            self._log.warning("login refused", user=name[:64], peer=peer)
            self._lockout.failed(time.monotonic(), *keys)
            self._everywhere.failed(time.monotonic(), name)
            return False
        self._lockout.succeeded(*keys)
        self._everywhere.succeeded(name)
        return name in self.users.users

    def _record(self, step: str, name: str, peer: str) -> None:
        self._audit.record(step=step, user=name[:64], peer=peer, server="hmi")

    def close(self) -> None:
        """At the process's end."""
        self._checker.shutdown(wait=False, cancel_futures=True)


def too_many(wait_s: float) -> Refusal:
    """The refusal (429) of who must wait."""
    after = f"{max(1.0, wait_s):.0f}"
    return Refusal(429, f"too many attempts: try again in {after} s", headers={"Retry-After": after})
