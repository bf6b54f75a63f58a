"""Tokens for programs: 256 random bits, kept as their digest, with a role, an end and the time of their last use.

The file ``tokens.json`` (mode 0600) holds no secret. A token is ``ggt_ID_SECRET`` in ``Authorization: Bearer``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.contracts.log import Log
from gateway.privatefile import write_private
from gateway.users.roles import Role

MOST: Final = 200
_PREFIX: Final = "ggt"
_KEEP_USE_MS: Final = 600_000
"""The time of the last use is written at most so often: a poll a second is no reason to wear a disk."""


@dataclass(slots=True, kw_only=True)
class Token:
    """Times in ms since 1970 UTC; `expires_ms` 0: never; `used_ms` 0: not yet."""

    id: str
    name: str
    role: Role
    digest: str = field(repr=False)
    by: str
    made_ms: int
    expires_ms: int = 0
    used_ms: int = 0


class TokenStore:
    """All tokens of one file. What touches the disk (`keep`) is for a thread."""

    def __init__(self, path: Path, log: Log) -> None:
        self._path, self._log = path, log
        self.tokens: dict[str, Token] = {}
        self.at_end: dict[str, set[Callable[[], None]]] = {}
        """By token: called once when it is revoked."""
        self._kept: dict[str, int] = {}
        self._dirty = False

    def open(self) -> None:
        """Read the file. One that cannot be read lets no program in, and is told."""
        try:
            found = json.loads(self._path.read_text("utf-8"))
            tokens = [Token(**{**entry, "role": Role(entry["role"])}) for entry in found["tokens"]]
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            self._log.error("tokens cannot be read: no program is let in", file=str(self._path), cause=str(error)[:200])
            return
        self.tokens = {token.id: token for token in tokens}
        self._kept = {token.id: token.used_ms for token in tokens}

    def make(self, name: str, role: Role, by: str, expires_ms: int) -> tuple[str, Token]:
        """A new token and what is known of it; the token itself is kept nowhere."""
        secret, id_ = secrets.token_urlsafe(32), secrets.token_hex(4)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        token = Token(id=id_, name=name, role=role, digest=digest, by=by, made_ms=_now_ms(), expires_ms=expires_ms)
        self.tokens[id_] = token
        self._dirty = True
        return f"{_PREFIX}_{id_}_{secret}", token

    def revoke(self, id_: str) -> Token | None:
        """It is good for nothing any more; None: there is none."""
        token = self.tokens.pop(id_, None)
        if token is not None:
            self._dirty = True
            for act in list(self.at_end.pop(id_, ())):
                act()
        return token

    def find(self, bearer: str) -> Token | None:
        """The token that this is, if it still holds. Takes equally long whatever the secret."""
        prefix, _, rest = bearer.partition("_")
        id_, _, secret = rest.partition("_")
        token = self.tokens.get(id_)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        known = token.digest if token is not None else "-" * 64
        if not hmac.compare_digest(digest, known) or prefix != _PREFIX or token is None:
            return None
        now_ms = _now_ms()
        if token.expires_ms and now_ms >= token.expires_ms:
            return None
        token.used_ms = now_ms
        return token

    def keep(self) -> None:
        """Write the file if anything worth it has changed."""
        tokens = list(self.tokens.values())
        used = any(token.used_ms - self._kept.get(token.id, 0) > _KEEP_USE_MS for token in tokens)
        if not (self._dirty or used):
            return
        self._dirty = False
        entries: list[dict[str, Any]] = [asdict(token) for token in tokens]
        try:
            write_private(self._path, (json.dumps({"tokens": entries}, indent=1) + "\n").encode())
        except OSError as error:
            self._log.error("tokens cannot be written", file=str(self._path), cause=str(error))
            return
        self._kept = {token.id: token.used_ms for token in tokens}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
