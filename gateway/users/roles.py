"""What a person may do. Each role includes those above it in this list."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

FIRST_USER: Final = "admin"
"""The administrator of a new file of users."""


class Role(StrEnum):
    """Roles of people; OPC UA calls a viewer *observer*."""

    VIEWER = "viewer"
    """Reads."""
    OPERATOR = "operator"
    """Commands the plant, acknowledges alarms."""
    ENGINEER = "engineer"
    """Changes how the plant is run."""
    ADMINISTRATOR = "administrator"
    """Manages users and certificates."""

    @property
    def commands(self) -> bool:
        """Whether set-points and controls may be written."""
        return self is not Role.VIEWER

    @property
    def includes(self) -> frozenset[str]:
        """Names of this role and of those below it."""
        order = list(Role)
        return frozenset(role.value for role in order[: order.index(self) + 1])


def highest(names: frozenset[str]) -> str:
    """The highest of these roles by name; empty without any."""
    return next((role.value for role in reversed(Role) if role.value in names), "")
