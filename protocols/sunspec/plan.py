"""What the settings are compiled to: points by model and path, with the layouts they need. Small and picklable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from protocols.modbus.plan import UnitPlan
from protocols.sunspec.model import Group, Path


class Reading(Enum):
    """How the raw number becomes a value."""

    NUMBER = "number"
    BIT = "bit"
    """1 when bit `mark` of the number is set."""
    STATE = "state"
    """1 when the number is `mark`."""
    FLAG = "flag"
    """1 when the number is not 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A field that is written with another: its place in the model and the raw number."""

    path: Path
    raw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SunPoint:
    """One point of a device map; one at each position of the unit's bindings.

    `first` and `last`: what a command writes before (the reversion time) and after (the enable flag) its own field.
    """

    model: int
    instance: int
    path: Path
    reading: Reading = Reading.NUMBER
    mark: int = 0
    first: Companion | None = None
    last: Companion | None = None

    def __str__(self) -> str:
        number = f"#{self.instance}" if self.instance > 1 else ""
        return f"{self.model}{number} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SunUnitPlan(UnitPlan):
    """One device. Its `bindings` name rows and kinds; their addresses are found on the device."""

    points: list[SunPoint]
    models: dict[int, Group]
    base: int | None = None
    """Where the marker "SunS" stands; None: 40000, 50000 or 0."""
