"""Selects of people: picked and checked, to be executed by the same person with the same value in time. Pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from hmi.refusal import Refusal

VALID_S: Final = 30.0
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Select:
    """One select; `until_s` is monotonic."""

    who: str
    row: int
    value: float
    until_s: float


class Selects:
    """By their token. One that was executed, or has run out, is gone."""

    def __init__(self) -> None:
        self._selects: dict[str, Select] = {}

    def open(self, who: str, row: int, value: float, now_s: float) -> str:
        """A new select and its token."""
        self._selects = {token: each for token, each in self._selects.items() if now_s < each.until_s}
        while len(self._selects) >= _MOST:
            del self._selects[next(iter(self._selects))]
        token = secrets.token_urlsafe(16)
        self._selects[token] = Select(who, row, value, now_s + VALID_S)
        return token

    def take(self, token: str, who: str, row: int, value: float, now_s: float) -> None:
        """Use it up. Raises `Refusal` (409): it has run out, or was made for something else."""
        select = self._selects.pop(token, None)
        if select is None:
            raise Refusal(409, "there is no such select any more: select again")
        if now_s >= select.until_s:
            raise Refusal(409, "the select has run out: nothing was done; select again")
        if (select.who, select.row, select.value) != (who, row, value):
            raise Refusal(409, "the select was for something else: nothing was done; select again")

    def drop(self, token: str) -> None:
        """Given up."""
        self._selects.pop(token, None)
