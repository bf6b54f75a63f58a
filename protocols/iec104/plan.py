"""What a checked configuration becomes: columns to be pickled to the worker. No object per binding."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag, StrEnum

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import MasterSystemRows
from gateway.points import Rows
from gateway.tls.plan import TlsPlan
from protocols.iec104.asdu import MAX_OBJECTS
from protocols.iec104.clock import ClockSync
from protocols.iec104.connection import ApciParameters


class Mode(IntFlag):
    """Ways in which a command point may be commanded; 0 for a monitored point."""

    MONITORED = 0
    DIRECT = 1
    SELECT = 2


class ClockTrust(StrEnum):
    """When time tags are valid."""

    ALWAYS = "always"
    KERNEL = "kernel"
    """While the kernel says that its clock is synchronised."""


class ResetProcess(StrEnum):
    """What C_RP does."""

    REFUSE = "refuse"
    CONFIRM = "confirm"
    """This master's station begins anew: selects and interrogations end, M_EI is sent. Nothing else is touched."""


def _none() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


def _no_pulses() -> NDArray[np.uint8]:
    return np.empty(0, np.uint8)


@dataclass(slots=True, kw_only=True)
class BindingColumns:
    """Bindings of one master, one entry each, ordered by common address, static type and ioa.

    `background_s` and `pulse` may be left out: zeros then.
    """

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
    background_s: NDArray[np.float32] = field(default_factory=_none)
    """Period of background scan; 0 for none."""
    pulse: NDArray[np.uint8] = field(default_factory=_no_pulses)
    """Qualifier of command that stands for 0, *no additional definition*."""

    def __post_init__(self) -> None:
        if not len(self.background_s):
            self.background_s = np.zeros(len(self), np.float32)
        if not len(self.pulse):
            self.pulse = np.zeros(len(self), np.uint8)

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
    clock: bool = False
    """Whether its C_CS may move the event clock or set the machine's."""
    parameters: bool = True
    """Whether it may load parameters (P_ME, P_AC); they concern its own view alone."""
    capacity: int = 150_000
    objects_per_asdu: int = MAX_OBJECTS


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
    clock_sync: ClockSync = ClockSync.CONFIRM
    clock_trusted: ClockTrust = ClockTrust.ALWAYS
    day_of_week: bool = True
    end_of_initialisation: bool = False
    """Whether M_EI is sent at the first STARTDT after the start."""
    reset_process: ResetProcess = ResetProcess.REFUSE
    system: dict[str, MasterSystemRows] = field(default_factory=dict)
    commands: dict[str, Rows] = field(default_factory=dict)
