"""What a controller is: image in, requests out. Pure; the arbitration decides what becomes of a request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from gateway.control.image import Image


class PriorityClass(IntEnum):
    """Who goes first: a smaller number wins. The number is the value of the point `system/control/UNIT/source`."""

    SAFETY = 1
    """A trip: zero, at once."""
    INTERLOCK = 2
    """What an interlock's ramp asks for."""
    OPERATOR = 3
    """A person at the gateway."""
    RESPONSE = 4
    """Droop and fast response: added to the base set-point of the classes below."""
    REMOTE = 5
    """A master's set-point, or AGC."""
    SCHEDULE = 6
    FALLBACK = 7
    """Where the unit goes when a set-point has expired."""
    HOLD = 8
    """Nobody asks: the device keeps the set-point it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one controller asks of one unit in this cycle. Everything is optional; what is left out is not asked.

    `target_kw`: the base set-point; of all requests the one of the highest class wins. `add_kw`: on top of it, of
    the class RESPONSE (sums up; drops out while a higher class holds the base). `low_kw`/`high_kw`: limits, whatever
    the class: all are intersected and hold at once. `ramp_kw_per_s`: of this request's own part; None is the unit's.
    `stop`: zero at once and run off. `block`: no start and no set-point but 0.
    """

    unit: int
    priority: PriorityClass
    source: str
    """For a person: an interlock's name, `master sldc/main`, `droop`."""
    target_kw: float | None = None
    add_kw: float | None = None
    low_kw: float = -math.inf
    high_kw: float = math.inf
    ramp_kw_per_s: float | None = None
    stop: bool = False
    block: bool = False


@dataclass(frozen=True, slots=True)
class UnitView:
    """What a controller may know of its unit beside the image: as it stood after the cycle before."""

    target_kw: float | None
    """What was last sent or is held; None while nothing is known of the device."""
    base_kw: float | None
    """Without the frequency response."""
    source: PriorityClass
    low_kw: float
    high_kw: float
    local: bool
    """The site is switched to local, or not known to be in remote."""
    tripped: bool
    blocked: bool


class Controller(Protocol):
    """One controller of one or several units. State lives in the object; it changes in `step` alone.

    `points` of a result are what the controller publishes: table row -> value.
    """

    @property
    def inputs(self) -> Iterable[int]:
        """Table rows that it reads."""
        ...

    def step(self, image: Image, units: Sequence[UnitView]) -> ControllerResult:
        """One cycle. `units` in the order of `ControlPlan.units`. Never raises for a bad input: asks for nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ControllerResult:
    """Requests and values to publish of one controller in one cycle. `invalid` rows have no value now."""

    requests: Sequence[Request] = ()
    points: Sequence[tuple[int, float]] = ()
    invalid: Sequence[int] = ()
