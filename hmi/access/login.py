"""Logging in and out: passwords checked beside the loop, guessing braked, every attempt recorded."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from gateway.audit import AuditLog
from gateway.contracts.log import Log
from gateway.users.lockout import Lockout
from gateway.users.roles import Role, highest
from gateway.users.store import MAX_PASSWORD, UserFileError, UserStore
from hmi.access.person import Person
from hmi.access.sessions import Session, Sessions
from hmi.refusal import Refusal

_CHECKS: Final = 4
"""Passwords that may wait to be checked at one time: each costs 20 MB and 20 ms."""


class Gatekeeper:
    """Users, sessions and the brake."""

    def __init__(self, users: Path, sessions: Sessions, audit: AuditLog, log: Log) -> None:
        self.users, self.sessions = UserStore(users), sessions
        self._audit, self._log = audit, log
        self._lockout = Lockout()
        self._checker = ThreadPoolExecutor(1, "hmi-password")
        self._waiting = 0

    def refresh(self) -> None:
        """Take over a changed file of users; people who are gone from it, or have another role, are logged out."""
        try:
            if not self.users.refresh():
                return
        except UserFileError as error:
            self._log.error("users cannot be read", cause=str(error))
            return
        for name, role in self.sessions.people():
            user = self.users.users.get(name)
            if user is None or highest(user.all_roles) != role:
                self.sessions.close_all(name)

    async def login(self, name: str, password: str, peer: str) -> tuple[str, Session]:
        """Token and session. Raises `Refusal`: 401 for a wrong name or password, 429 while it must wait."""
        self.refresh()
        now_s, keys = time.monotonic(), (f"user {name}", f"peer {peer}")
        wait_s = self._lockout.remaining_s(now_s, *keys)
        if wait_s > 0 or self._waiting >= _CHECKS:
            self._record("refused", name, peer)
            raise _too_early(max(1.0, wait_s))
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            user = await loop.run_in_executor(
                self._checker, self.users.verify_password, name, password[: MAX_PASSWORD + 1]
            )
        finally:
            self._waiting -= 1
        if user is None:
            self._record("wrong", name, peer)
            self._log.warning("login refused", user=name[:64], peer=peer)
            self._lockout.failed(time.monotonic(), *keys)
            raise Refusal(401, "name or password is wrong")
        self._lockout.succeeded(*keys)
        self._record("login", name, peer)
        person = Person(name=user.name, role=Role(highest(user.all_roles)), peer=peer)
        return self.sessions.open(person, time.monotonic())

    def logout(self, token: str, person: Person) -> None:
        """End this session."""
        self.sessions.close(token)
        self._record("logout", person.name, person.peer)

    def _record(self, step: str, name: str, peer: str) -> None:
        self._audit.record(step=step, user=name[:64], peer=peer, server="hmi")

    def close(self) -> None:
        """At the process's end."""
        self._checker.shutdown(wait=False, cancel_futures=True)


def _too_early(wait_s: float) -> Refusal:
    after = f"{wait_s:.0f}"
    return Refusal(429, f"too many attempts: try again in {after} s", headers={"Retry-After": after})
