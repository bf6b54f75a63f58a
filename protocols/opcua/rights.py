"""Which points a session sees and which it may command, by the roles of its user."""

from __future__ import annotations

from typing import Any

from gateway.points import PointCatalogue
from protocols.opcua.plan import ServerPlan


class Rights:
    """Compiled from the plan; the broker has the last word on every command."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue) -> None:
        self._roles = {row: frozenset(roles) for row, roles in plan.row_roles.items()}
        self._commands = {role: frozenset(rows.tolist()) for role, rows in plan.commands.items()}
        self._kinds = catalogue.kinds

    def visible(self, session: Any, row: int) -> bool:
        """Whether the session sees the point of this row."""
        named = self._roles.get(row)
        return named is None or not named.isdisjoint(session.roles)

    def commands(self, session: Any, row: int) -> bool:
        """Whether the session may command the point of this row."""
        return not session.read_only and row in self._commands.get(session.role, ())
