"""What a controller is: image in, requests out. Pure; the arbitration decides what becomes of a request."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from gateway.contracts.driver import WriteLost, WriteRefused
from gateway.control.evidence.files import StoredExcursion
from gateway.control.image import Image
from gateway.control.write import ControlWrite


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


@dataclass(slots=True, kw_only=True)
class Request:
    """What one controller asks of one unit in this cycle. Everything is optional; what is left out is not asked.

    `target_kw`: the base set-point; of all requests the one of the highest class wins. `add_kw`: on top of it, of
    the class RESPONSE (sums up; drops out while a higher class holds the base). `low_kw`/`high_kw`: limits, whatever
    the class: all are intersected and hold at once; `base_low_kw`/`base_high_kw` limit the base set-point alone, and
    leave what the response adds. `ramp_kw_per_s`: of this request's own part; None is the unit's.
    `stop`: zero at once and run off. `block`: no start and no set-point but 0. Nobody
    changes a request that was made; it is not frozen because that costs a microsecond each.
    """

    unit: int
    priority: PriorityClass
    source: str
    """For a person: an interlock's name, `master sldc/main`, `droop`."""
    target_kw: float | None = None
    add_kw: float | None = None
    low_kw: float = -math.inf
    high_kw: float = math.inf
    base_low_kw: float = -math.inf
    base_high_kw: float = math.inf
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

    `points` of a result are what the controller publishes: table row -> value. `ControllerBase` says what the others
    are.
    """

    @property
    def name(self) -> str: ...
    @property
    def commands(self) -> Mapping[int, TakeValue]: ...
    @property
    def own_only(self) -> Collection[int]: ...
    @property
    def urgent(self) -> Iterable[int]: ...
    def failed(self, row: int, now_ns: int, trouble: WriteRefused | WriteLost) -> None: ...
    def acknowledged(self, row: int, value: float) -> None: ...
    def finished(self) -> Sequence[StoredExcursion]: ...
    def kept(self) -> Kept | None: ...
    def restore(self, kept: Kept, now_ns: int, wall_ns: int) -> None: ...
    def end(self) -> None: ...

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
    writes: Sequence[ControlWrite] = ()
    """Of points that no unit's arbitration drives."""


Kept = dict[str, Any]
"""What a controller must not forget over a restart, as JSON can hold it. Times in it are of the wall clock."""

TakeValue = Callable[[float, int], str]
"""(value, monotonic ns) -> why it is refused, empty when it is taken."""


class ControllerBase:
    """What most controllers have nothing of."""

    @property
    def commands(self) -> Mapping[int, TakeValue]:
        """Command points of the gateway itself that it takes, by table row."""
        return {}

    @property
    def own_only(self) -> Collection[int]:
        """Those of them that a person on the gateway may command, and no master."""
        return ()

    @property
    def urgent(self) -> Iterable[int]:
        """Inputs whose change brings the cycle forward."""
        return ()

    def failed(self, row: int, now_ns: int, trouble: WriteRefused | WriteLost) -> None:
        """A device did not take a write of this controller."""

    def acknowledged(self, row: int, value: float) -> None:
        """A device has taken a write of this controller."""

    def finished(self) -> Sequence[StoredExcursion]:
        """Evidence that is complete and is to be kept; it is the caller's from now on."""
        return ()

    @property
    def name(self) -> str:
        """What it is called among what is kept; empty: it keeps nothing."""
        return ""

    def kept(self) -> Kept | None:
        """What must survive a restart; None: nothing. The same object until it changes."""
        return None

    def restore(self, kept: Kept, now_ns: int, wall_ns: int) -> None:
        """Take what `kept` gave. Raises `KeyError`, `TypeError` or `ValueError`; then nothing was taken."""

    def end(self) -> None:
        """The gateway stops: evidence ends where it stands."""
