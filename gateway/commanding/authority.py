"""Who may command what: compiled from the site, looked up by the broker with every command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.points.change import Rows
from gateway.points.model import NO_ROW


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Who may command what.

    `rights`: rows by (server, master). `local_row`/`remote_when`: the local/remote switch; while its value is
    not `remote_when`, or not known, every field write is refused, a person's at the gateway too. `NO_ROW`: there is
    no such switch. `holders`: who may force and block measured points.
    """

    rights: Mapping[tuple[str, str], frozenset[int]]
    local_row: int = NO_ROW
    remote_when: float = 0.0
    holders: frozenset[tuple[str, str]] = frozenset()


def rights_by_master(rights: Mapping[tuple[str, str], Rows]) -> dict[tuple[str, str], frozenset[int]]:
    """Rows that each (server, master) may command, for quick look-up."""
    return {who: frozenset(rows.tolist()) for who, rows in rights.items()}
