"""The one who asks."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.users.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person with a session, or a program with a token. `peer` is the address it came from."""

    name: str
    role: Role
    peer: str = ""
    program: bool = False
    """It commands as a master does, and holds no unit as a person does."""

    def may(self, right: Role) -> bool:
        """Whether this role includes `right`."""
        return right.value in self.role.includes

    @property
    def who(self) -> str:
        """Name and address for the record."""
        return f"{self.name}@{self.peer}" if self.peer else self.name
