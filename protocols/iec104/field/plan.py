"""What a checked configuration of an RTU becomes. Picklable; no pydantic behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gateway.points import Rows, Values
from gateway.tls.plan import TlsPlan
from protocols.iec104.connection import ApciParameters


class CounterMode(StrEnum):
    """How counters are asked for (IEC 60870-5-101 7.4.8: modes A to D)."""

    NONE = "none"
    """Not at all: the RTU freezes and sends by itself (mode A)."""
    READ = "read"
    """What the RTU has frozen by itself (mode B)."""
    FREEZE_READ = "freeze_read"
    """Freeze, then read (mode C)."""
    FREEZE_RESET_READ = "freeze_reset_read"
    """Freeze and set to zero, then read: increments (mode C)."""
    FREEZE = "freeze"
    """Freeze; the RTU sends the readings by itself (mode D)."""
    FREEZE_RESET = "freeze_reset"
    """The same with setting to zero."""


QUALIFIERS = {
    CounterMode.NONE: (),
    CounterMode.READ: (0x05,),
    CounterMode.FREEZE_READ: (0x45, 0x05),
    CounterMode.FREEZE_RESET_READ: (0x85, 0x05),
    CounterMode.FREEZE: (0x45,),
    CounterMode.FREEZE_RESET: (0x85,),
}
"""Qualifiers of counter interrogation (7.2.6.23) that are sent, in order."""


@dataclass(slots=True, kw_only=True)
class PointColumns:
    """Measured points, one entry each, ordered by `key`: common address << 24 | ioa."""

    row: Rows
    key: NDArray[np.uint64]
    family: NDArray[np.uint8]
    """See `types.FAMILY`."""
    bit: NDArray[np.int8]
    """The bit of the element that is the point; -1: the whole value."""
    scale: Values
    offset: Values
    low: Values
    high: Values
    """What normalised values span."""
    names: list[str]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBinding:
    """One commanded point. `pulse`: the qualifier that stands for 0; `termination`: it is awaited."""

    row: int
    name: str
    ca: int
    ioa: int
    type_id: int
    select: bool = False
    pulse: int = 0
    termination: bool = True
    scale: float = 1.0
    offset: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RtuPlan:
    """One RTU. `addresses`: (host, port), any of which leads to it. Times in s; a period of 0 is never."""

    devices: list[str]
    rows: NDArray[np.uint32]
    addresses: tuple[tuple[str, int], ...]
    points: PointColumns
    orders: tuple[OrderBinding, ...] = ()
    originator: int = 0
    apci: ApciParameters = field(default_factory=ApciParameters)
    t0_s: float = 30.0
    reconnect_max_s: float = 3.0
    time_zone: str = "UTC"
    untimed_marked: bool = True
    """Values without a time tag say *time invalid*."""
    interrogation_s: float = 900.0
    interrogation_timeout_s: float = 60.0
    counters: CounterMode = CounterMode.READ
    counter_s: float = 900.0
    clock_sync_s: float = 0.0
    command_timeout_s: float = 10.0
    tls: TlsPlan | None = None
    """Its one master is the RTU, by the name of the device."""

    @property
    def device(self) -> str:
        return self.devices[0]

    @property
    def stations(self) -> list[int]:
        """Common addresses behind the link."""
        measured = np.unique(self.points.key >> np.uint64(24)).tolist()
        return sorted({int(ca) for ca in measured} | {order.ca for order in self.orders})
