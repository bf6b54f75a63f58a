"""Parameters that a master loads at run time (P_ME) and puts in or out of operation (P_AC). Pure.

    QPM   POP | LPC | kind (6): 1 threshold, 2 smoothing factor, 3 low limit, 4 high limit        7.2.6.24
    QPA   1 all that was loaded, 2 the parameter of the object, 3 its cyclic transmission         7.2.6.25

(IEC 60870-5-101.) A threshold is the deadband. A value that crosses a limit is an event, whatever the deadband says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Values
from protocols.iec104.elements import TYPES, Elements

Index = NDArray[np.intp]

NOT_IN_OPERATION: Final = 0x80
KIND_BITS: Final = 0x3F


class ParameterKind(IntEnum):
    """What a loaded value is; a smoothing factor is not supported."""

    THRESHOLD = 1
    LOW = 3
    HIGH = 4


class Activation(IntEnum):
    """QPA: what P_AC acts on."""

    LOADED = 1
    OBJECT = 2
    CYCLIC = 3


MEASURED_TYPE: Final[Mapping[int, frozenset[int]]] = {
    110: frozenset({9, 21}),
    111: frozenset({11}),
    112: frozenset({13}),
}
"""By type of the parameter: untimed types of the measured values that it is for."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Parameters of one measured value in engineering units; NaN: not loaded."""

    threshold: float = math.nan
    low: float = math.nan
    high: float = math.nan
    active: bool = True

    def with_value(self, kind: ParameterKind, value: float, active: bool) -> Loaded:
        """One of them loaded anew."""
        name = _FIELDS[kind]
        return Loaded(
            threshold=value if name == "threshold" else self.threshold,
            low=value if name == "low" else self.low,
            high=value if name == "high" else self.high,
            active=active,
        )


_FIELDS: Final = {ParameterKind.THRESHOLD: "threshold", ParameterKind.LOW: "low", ParameterKind.HIGH: "high"}


def decode(type_id: int, element: Elements, low: float, high: float) -> tuple[ParameterKind, float, bool] | None:
    """Kind, engineering value and whether in operation; None for what is not supported or no value.

    `low` and `high` are the range that a normalised value spans.
    """
    qualifier = int(element["qpm"][0])
    if qualifier & KIND_BITS not in ParameterKind._value2member_map_:
        return None
    kind = ParameterKind(qualifier & KIND_BITS)
    raw = float(element[TYPES[type_id].element.fields[0][0]][0])
    value = _scaled(raw / 32_768, kind, low, high) if type_id == 110 else raw
    if not math.isfinite(value) or (kind is ParameterKind.THRESHOLD and value < 0):
        return None
    return kind, value, not qualifier & NOT_IN_OPERATION


def _scaled(part: float, kind: ParameterKind, low: float, high: float) -> float:
    """Of -1 to 1, which spans the range: a threshold is a difference, a limit a place."""
    half = (high - low) / 2
    return part * half if kind is ParameterKind.THRESHOLD else low + (part + 1) * half


class Parameters:
    """What one master has loaded, by binding, and the limits in force."""

    def __init__(self, limit: Values) -> None:
        self._configured = limit
        self.loaded: dict[int, Loaded] = {}
        self._limited: NDArray[np.bool_] | None = None
        self._low = self._high = np.empty(0)
        self._side: NDArray[np.int8] = np.empty(0, np.int8)

    def load(self, binding: int, kind: ParameterKind, value: float, active: bool, present: float) -> None:
        """A value came; `present` is what the point shows."""
        loaded = self.loaded.get(binding, Loaded()).with_value(kind, value, active)
        self.keep(binding, loaded, present)

    def keep(self, binding: int, loaded: Loaded, present: float) -> None:
        """These parameters from now on."""
        self.loaded[binding] = loaded
        self._limit(binding, loaded, present)

    def activate(self, binding: int, active: bool, present: float) -> bool:
        """In or out of operation; False when nothing is loaded there."""
        loaded = self.loaded.get(binding)
        if loaded is None:
            return False
        self.keep(binding, replace(loaded, active=active), present)
        return True

    def deadband(self, binding: int) -> float:
        """In force: the loaded threshold or the configured deadband (NaN: none)."""
        loaded = self.loaded.get(binding)
        if loaded is not None and loaded.active and not math.isnan(loaded.threshold):
            return loaded.threshold
        return float(self._configured[binding])

    def _limit(self, binding: int, loaded: Loaded, present: float) -> None:
        if self._limited is None:
            size = len(self._configured)
            self._limited, self._side = np.zeros(size, np.bool_), np.zeros(size, np.int8)
            self._low, self._high = np.full(size, np.nan), np.full(size, np.nan)
        self._low[binding] = loaded.low if loaded.active else math.nan
        self._high[binding] = loaded.high if loaded.active else math.nan
        limits = self._low[binding], self._high[binding]
        self._limited[binding] = not all(math.isnan(limit) for limit in limits)
        self._side[binding] = int(present > limits[1]) - int(present < limits[0])

    def crossings(self, index: Index, values: Values) -> NDArray[np.bool_] | None:
        """Which elements of a batch lie on another side of a limit than the one before; None without any limit.

        A binding may occur more than once: its elements are taken in order.
        """
        if self._limited is None or not self._limited[index].any():
            return None
        places = np.flatnonzero(self._limited[index])
        places = places[np.argsort(index[places], kind="stable")]
        bindings, value = index[places], values[places]
        side = (value > self._high[bindings]).astype(np.int8) - (value < self._low[bindings])
        first = np.ones(len(bindings), np.bool_)
        first[1:] = bindings[1:] != bindings[:-1]
        before = np.where(first, self._side[bindings], np.concatenate((side[:1], side[:-1])))
        self._side[bindings] = side
        out = np.zeros(len(index), np.bool_)
        out[places] = side != before
        return out
