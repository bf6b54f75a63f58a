"""Sessions of people who logged in: made anew at every login, ended by idleness, age or logout. Pure."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from hmi.access.person import Person

MOST: Final = 200
"""Sessions at one time; with more the one that has been idle longest ends."""


@dataclass(slots=True, kw_only=True)
class Session:
    """`csrf` is told to the page and expected with everything that changes something."""

    person: Person
    csrf: str
    began_s: float
    used_s: float


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Sessions:
    """By the digest of their token: the tokens themselves are only with the browsers. Times in s, monotonic."""

    def __init__(self, idle_s: float, longest_s: float) -> None:
        self._idle_s, self._longest_s = idle_s, longest_s
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, person: Person, now_s: float) -> tuple[str, Session]:
        """A new session and its token."""
        self.sweep(now_s)
        while len(self._sessions) >= MOST:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used_s)]
        token = secrets.token_urlsafe(32)
        session = Session(person=person, csrf=secrets.token_urlsafe(32), began_s=now_s, used_s=now_s)
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

    def close(self, token: str) -> None:
        """Log out."""
        self._sessions.pop(_digest(token), None)

    def people(self) -> set[tuple[str, str]]:
        """Name and role of everybody who has a session."""
        return {(each.person.name, each.person.role.value) for each in self._sessions.values()}

    def close_all(self, name: str) -> None:
        """End every session of this user."""
        self._sessions = {key: each for key, each in self._sessions.items() if each.person.name != name}

    def sweep(self, now_s: float) -> None:
        """Forget what has ended by itself."""
        self._sessions = {key: each for key, each in self._sessions.items() if self._holds(each, now_s)}

    def _holds(self, session: Session, now_s: float) -> bool:
        return now_s - session.used_s < self._idle_s and now_s - session.began_s < self._longest_s


def same(found: str, expected: str) -> bool:
    """Constant-time comparison of secrets."""
    return hmac.compare_digest(found.encode(), expected.encode())
