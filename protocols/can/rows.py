"""One checked row of a CAN device map, before it becomes part of columns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from gateway.contracts.places import Place
from protocols.can.plan import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A measured point. `states` maps values to the raw values that mean them; any other raw value is `otherwise`."""

    row: int
    device: int
    place: Place
    message: Any
    field: Field
    conditions: list[tuple[Any, frozenset[int]]]
    scale: float
    offset: float
    row_scale: float
    row_offset: float
    flag: bool
    states: dict[float, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    otherwise: float = 0.0
    invalid: tuple[int, ...] = ()
    guard: tuple[Field, bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded:
    """A commanded point."""

    row: int
    device: int
    name: str
    place: Place
    message: Any
    signal: Any
    row_scale: float
    row_offset: float
    states: dict[float, tuple[int, ...]] = dataclasses.field(default_factory=dict)
