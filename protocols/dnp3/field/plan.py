"""What a checked configuration of outstations becomes. Picklable; no pydantic behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.points import Rows, Values
from gateway.tls.plan import TlsPlan
from protocols.dnp3.plan import Controls
from protocols.dnp3.pointtypes import PointType


@dataclass(slots=True, kw_only=True)
class PointColumns:
    """Points of one outstation, one entry each, ordered by `key`: type << 16 | index."""

    row: Rows
    key: NDArray[np.uint32]
    scale: Values
    offset: Values
    """engineering = value on the wire x scale + offset."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBinding:
    """One commanded point. `variation` is that of g41, `on_ms` the on time of a pulse."""

    row: int
    name: str
    type: PointType
    index: int
    select: bool
    control: Controls = Controls.LATCH
    on_ms: int = 100
    variation: int = 3
    scale: float = 1.0
    offset: float = 0.0


@dataclass(slots=True, kw_only=True)
class StationPlan:
    """One outstation. Times in s; a period of 0 is never."""

    device: str
    master: int
    outstation: int
    points: PointColumns
    orders: tuple[OrderBinding, ...] = ()
    integrity_s: float = 900.0
    event_poll_s: float = 1.0
    unsolicited: bool = False
    response_timeout_s: float = 5.0
    retries: int = 1
    command_timeout_s: float = 10.0
    time_sync: bool = False


@dataclass(slots=True, kw_only=True)
class LinePlan:
    """One TCP connection and the outstations behind it."""

    devices: list[str]
    rows: NDArray[np.uint32]
    address: tuple[str, int]
    stations: tuple[StationPlan, ...]
    connect_timeout_s: float = 10.0
    reconnect_max_s: float = 3.0
    tls: TlsPlan | None = None
