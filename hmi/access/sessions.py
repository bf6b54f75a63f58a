"""Sessions of people who logged in: made anew at every login, ended by idleness, age or logout. Pure."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.users.roles import Role
from hmi.access.person import Person

MOST: Final = 200
"""Sessions at one time; with more the one that has been idle longest ends."""


@dataclass(slots=True, kw_only=True)
class Session:
    """`csrf` is told to the page and expected with everything that changes something.

    `must_change`: the person may do nothing but choose an own password. `at_end`: called once when it ends.
    """

    person: Person
    csrf: str
    began_s: float
    used_s: float
    must_change: bool = False
    at_end: set[Callable[[], None]] = field(default_factory=set)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Sessions:
    """By the digest of their token: the tokens themselves are only with the browsers. Times in s, monotonic."""

    def __init__(self, idle_s: float, longest_s: float) -> None:
        self._idle_s, self._longest_s = idle_s, longest_s
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, person: Person, now_s: float, *, must_change: bool = False) -> tuple[str, Session]:
        """A new session and its token."""
        self.sweep(now_s)
        while len(self._sessions) >= MOST:
            self._end(min(self._sessions, key=lambda key: self._sessions[key].used_s))
        token = secrets.token_urlsafe(32)
        session = Session(
            person=person,
            csrf=secrets.token_urlsafe(32),
            began_s=now_s,
            used_s=now_s,
            must_change=must_change,
        )
        self._sessions[_digest(token)] = session
        return token, session

    def find(self, token: str, now_s: float, *, touch: bool = True) -> Session | None:
        """The session, if it still holds; `touch`: a person has just acted."""
        session = self._sessions.get(_digest(token)) if token else None
        if session is None:
            return None
        if not self._holds(session, now_s):
            self.close(token)
            return None
        if touch:
            session.used_s = now_s
        return session

    def facts(self) -> list[dict[str, Any]]:
        """All of them, as JSON takes it: digests, not tokens."""
        return [
            {
                "digest": key.hex(),
                "name": each.person.name,
                "role": each.person.role.value,
                "peer": each.person.peer,
                "csrf": each.csrf,
                "began_s": each.began_s,
                "used_s": each.used_s,
                "must_change": each.must_change,
            }
            for key, each in self._sessions.items()
        ]

    def restore(self, facts: list[dict[str, Any]]) -> None:
        """Take over what `facts` told. Raises `KeyError`, `TypeError` or `ValueError`."""
        for each in facts[:MOST]:
            person = Person(name=str(each["name"]), role=Role(each["role"]), peer=str(each["peer"]))
            self._sessions[bytes.fromhex(each["digest"])] = Session(
                person=person,
                csrf=str(each["csrf"]),
                began_s=float(each["began_s"]),
                used_s=float(each["used_s"]),
                must_change=bool(each["must_change"]),
            )

    def left_s(self, session: Session, now_s: float) -> float:
        """How long it still holds if nobody acts."""
        return min(session.used_s + self._idle_s, session.began_s + self._longest_s) - now_s

    def close(self, token: str) -> None:
        """Log out."""
        self._end(_digest(token))

    def _end(self, key: bytes) -> None:
        session = self._sessions.pop(key, None)
        if session is not None:
            for act in list(session.at_end):
                act()

    def people(self) -> set[str]:
        """Everybody who has a session."""
        return {each.person.name for each in self._sessions.values()}

    def count(self, name: str) -> int:
        """Sessions of this user."""
        return sum(each.person.name == name for each in self._sessions.values())

    def close_all(self, name: str) -> None:
        """End every session of this user."""
        for key in [key for key, each in self._sessions.items() if each.person.name == name]:
            self._end(key)

    def sweep(self, now_s: float) -> None:
        """End what has run out."""
        for key in [key for key, each in self._sessions.items() if not self._holds(each, now_s)]:
            self._end(key)

    def _holds(self, session: Session, now_s: float) -> bool:
        return self.left_s(session, now_s) > 0


def same(found: str, expected: str) -> bool:
    """Constant-time comparison of secrets."""
    return hmac.compare_digest(found.encode(), expected.encode())
