"""What a checked configuration becomes: columns to be pickled to the worker. No object per binding."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from gateway.points import Rows
from protocols.iec104.asdu import MAX_OBJECTS
from protocols.iec104.connection import ApciParameters

NO_SYSTEM_ROW = -1


class Mode(IntFlag):
    """Ways in which a command point may be commanded; 0 for a monitored point."""

    MONITORED = 0
    DIRECT = 1
    SELECT = 2


@dataclass(slots=True, kw_only=True)
class BindingColumns:
    """Bindings of one master, one entry each, ordered by common address, static type and ioa."""

    row: Rows
    ca: NDArray[np.uint16]
    ioa: NDArray[np.uint32]
    event_type: NDArray[np.uint8]
    """Type identification of events, or of the command."""
    static_type: NDArray[np.uint8]
    """Type identification in interrogations: the untimed twin."""
    group: NDArray[np.uint8]
    """Interrogation group 1 to 16 (counters: 1 to 4), 0 for none."""
    limit: NDArray[np.float64]
    """Deadband in engineering units; NaN: every change is an event."""
    cyclic_s: NDArray[np.float32]
    """Period of cyclic transmission; 0 for none."""
    mode: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(slots=True, kw_only=True)
class MasterPlan:
    """One master: who it is, what it may do, what it sees. Addresses are IP addresses or networks."""

    name: str
    addresses: tuple[str, ...]
    bindings: BindingColumns
    links: int = 1
    commands: bool = False
    capacity: int = 150_000
    objects_per_asdu: int = MAX_OBJECTS


@dataclass(slots=True, kw_only=True)
class SystemRows:
    """Table rows of the system points about one master; `NO_SYSTEM_ROW` where there is none."""

    online: int = NO_SYSTEM_ROW
    events_waiting: int = NO_SYSTEM_ROW
    events_lost: int = NO_SYSTEM_ROW


@dataclass(slots=True, kw_only=True)
class TlsPlan:
    """Paths of PEM files; `passphrase` of the key may be empty. Masters must present a certificate that `ca` signed."""

    certificate: str
    key: str
    ca: str
    passphrase: str = field(default="", repr=False)


@dataclass(slots=True, kw_only=True)
class ServerPlan:
    """One listener and its masters. `commands`: table rows that each master may command."""

    name: str
    host: str
    port: int
    masters: list[MasterPlan]
    apci: ApciParameters = field(default_factory=ApciParameters)
    time_zone: str = "UTC"
    tls: TlsPlan | None = None
    command_timeout_s: float = 30.0
    select_timeout_s: float = 15.0
    command_max_age_s: float | None = None
    confirm_clock: bool = True
    system: dict[str, SystemRows] = field(default_factory=dict)
    commands: dict[str, Rows] = field(default_factory=dict)
