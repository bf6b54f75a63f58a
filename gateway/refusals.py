"""Whom a server turns away: every one is counted, few are told in the log. Pure."""

from __future__ import annotations

from typing import Final

from gateway.contracts.log import Log

REFUSALS_LOGGED: Final = 1_000
"""Addresses and causes; an attacker with many addresses does not fill the disk."""


def refused_point(server: str) -> str:
    """System point that tells how many a server has turned away."""
    return f"system/server/{server}/refused"


class Refusals:
    """One line for each address and cause until that address is let in (or `forget`); `count` counts all."""

    def __init__(self, log: Log, most: int = REFUSALS_LOGGED) -> None:
        self.count = 0
        """Connections turned away since start."""
        self._log, self._most = log, most
        self._told: set[tuple[str, str]] = set()

    def refuse(self, peer: str, cause: str) -> None:
        """A connection from this address is turned away."""
        self.count += 1
        if (peer, cause) in self._told or len(self._told) >= self._most:
            return
        self._told.add((peer, cause))
        self._log.warning("connection refused", peer=peer, cause=cause)
        if len(self._told) == self._most:
            self._log.warning("further refused addresses are not logged", logged=self._most)

    def admit(self, peer: str) -> None:
        """A connection from this address was taken: its next refusal is news again."""
        self._told = {(address, cause) for address, cause in self._told if address != peer}

    def forget(self) -> None:
        """Every refusal is news again."""
        self._told.clear()
