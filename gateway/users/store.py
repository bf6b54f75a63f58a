"""The file of users: names, roles, argon2id hashes of passwords, fingerprints of certificates. Mode 0600.

```yaml
users:
  asha:
    roles: [operator]
    password: $argon2id$v=19$m=19456,t=2,p=1$...
    certificates: [3f5e...]        # SHA-256 of a user certificate (DER), hex; optional
    must_change: true              # the password was set by somebody else: good for nothing but to choose an own one
```
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.users.roles import FIRST_USER, Role

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 1024
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"

# OWASP's second recommended parameter set for argon2id: 19 MiB, 2 passes. About 20 ms of a core.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
_NOBODY: Final = "$argon2id$v=19$m=19456,t=2,p=1$FbbFFgAKP1P+MNAPCE8sQA$2NBPyPsAbbmS1m765UIrXtbr9gubdDbxaOE9RG7VLN0"
"""Verified for a name that is unknown: it takes as long as a known one."""


class UserFileError(Exception):
    """The file cannot be used, or the change is not possible. The text is for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One person. `password` is an argon2id hash; empty: no password is right."""

    name: str
    roles: frozenset[str]
    password: str = field(default="", repr=False)
    certificates: tuple[str, ...] = ()
    must_change: bool = False
    """The password opens nothing but the change to an own one."""

    @property
    def all_roles(self) -> frozenset[str]:
        """Roles with those that they include."""
        return frozenset(name for role in self.roles for name in Role(role).includes)


class UserStore:
    """Users of one file, read again whenever the file has changed. A broken file keeps the users known before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users: Mapping[str, User] = {}
        self._seen: tuple[int, int, int] | None = None

    def refresh(self) -> bool:
        """Read the file if it has changed; True if it was read. No file: no users. Raises `UserFileError`."""
        try:
            found = self.path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            changed, self.users, self._seen = self._seen is not None, {}, None
            return changed
        if seen == self._seen:
            return False
        self._seen = seen
        self.users = read_users(self.path)
        return True

    def verify_password(self, name: str, password: str) -> User | None:
        """The user, if name and password are right. Takes equally long when not; slow: call it in a thread."""
        user = self.users.get(name)
        known = user.password if user is not None and user.password else _NOBODY
        try:
            _HASHER.verify(known, password)
        except (VerificationError, InvalidHashError):
            return None
        return user if known is not _NOBODY else None

    def by_certificate(self, fingerprint: str) -> User | None:
        """The user to whom this certificate (SHA-256, hex) belongs."""
        return next((user for user in self.users.values() if fingerprint in user.certificates), None)


def read_users(path: Path) -> dict[str, User]:
    """Every user of the file. Raises `UserFileError` with the cause."""
    try:
        if path.stat().st_mode & 0o077:
            raise UserFileError(f"{path} may be read by others: chmod 600 {path}")
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserFileError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    entries = loaded.get("users") if isinstance(loaded, dict) else None
    if loaded is not None and not isinstance(entries, dict | None):
        raise UserFileError(f"{path}: a mapping users: with one entry a user is expected")
    return {str(name): _user(path, str(name), entry) for name, entry in (entries or {}).items()}


def _user(path: Path, name: str, entry: Any) -> User:
    entry = entry if isinstance(entry, dict) else {}
    roles = frozenset(map(str, entry.get("roles") or ()))
    unknown = roles - {role.value for role in Role}
    if unknown or not roles:
        raise UserFileError(f"{path}, user {name}: roles must be some of {', '.join(Role)}")
    prints = tuple(str(text).lower().replace(":", "") for text in entry.get("certificates") or ())
    return User(
        name=name,
        roles=roles,
        password=str(entry.get("password") or ""),
        certificates=prints,
        must_change=entry.get("must_change") is True,
    )


def hash_password(password: str) -> str:
    """An argon2id hash. Raises `UserFileError` for a password that is too short or too long."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise UserFileError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return _HASHER.hash(password)


def random_password() -> str:
    """For a person to type once: 100 bits in five groups, without letters that look alike."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(5))


@contextlib.contextmanager
def changed_users(path: Path) -> Iterator[dict[str, User]]:
    """The users as they stand, to be changed; written at the block's end unless it raises. One at a time, over all
    processes. Raises `UserFileError`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserFileError(f"{path} cannot be changed: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        users = read_users(path) if path.exists() else {}
        before = dict(users)
        yield users
        if users != before:
            write_users(path, users)
    finally:
        os.close(lock)


def first_administrator(path: Path) -> str:
    """Where there is no file of users yet: make it with `FIRST_USER`; returns the password, which is kept nowhere.

    Empty: there is a file already. Raises `UserFileError`.
    """
    if path.exists():
        return ""
    password = random_password()
    with changed_users(path) as users:
        if users:
            return ""
        users[FIRST_USER] = User(
            name=FIRST_USER,
            roles=frozenset((Role.ADMINISTRATOR.value,)),
            password=hash_password(password),
            must_change=True,
        )
    return password


def write_users(path: Path, users: Mapping[str, User]) -> None:
    """Replace the file in one step, mode 0600. Raises `UserFileError`."""
    document = {"users": {user.name: _entry(user) for user in sorted(users.values(), key=lambda user: user.name)}}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".users-")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                yaml.safe_dump(document, file, sort_keys=False)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserFileError(f"{path} cannot be written: {error.strerror}") from None


def _entry(user: User) -> dict[str, Any]:
    entry: dict[str, Any] = {"roles": [role.value for role in Role if role.value in user.roles]}
    if user.password:
        entry["password"] = user.password
    if user.certificates:
        entry["certificates"] = list(user.certificates)
    if user.must_change:
        entry["must_change"] = True
    return entry
