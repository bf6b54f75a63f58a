"""What a checked configuration becomes: columns to be pickled to the worker. No object per binding."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import MasterSystemRows
from gateway.points import Rows, Values
from gateway.tls.plan import TlsPlan


class Mode(IntFlag):
    """Ways in which an output may be commanded; 0: it may not."""

    MONITORED = 0
    DIRECT = 1
    SELECT = 2


class Controls(IntFlag):
    """Operations that a binary output takes (CROB, IEEE 1815-2012 A.8.1)."""

    LATCH = 1
    PULSE = 2
    TRIP_CLOSE = 4


@dataclass(slots=True, kw_only=True)
class BindingColumns:
    """Bindings of one master at one outstation address, one entry each, ordered by type and index."""

    row: Rows
    type: NDArray[np.uint8]
    """`PointType`."""
    index: NDArray[np.uint16]
    event_class: NDArray[np.uint8]
    """1 to 3; 0: no events."""
    class_0: NDArray[np.bool_]
    """Part of the answer to a class 0 read."""
    static_var: NDArray[np.uint8]
    event_var: NDArray[np.uint8]
    command_event_var: NDArray[np.uint8]
    """Variation of g13 or g43 that tells of commands; 0: none."""
    limit: Values
    """Deadband in engineering units; NaN: every change is an event."""
    newest_only: NDArray[np.bool_]
    """Only the newest event is kept, not the sequence."""
    mode: NDArray[np.uint8]
    controls: NDArray[np.uint8]
    scale: Values
    offset: Values
    """engineering = value on the wire x scale + offset."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsolicitedPlan:
    """Unsolicited responses to one master. Times in s."""

    classes: tuple[int, ...] = (1, 2, 3)
    """Those that the master may enable."""
    at_start: bool = False
    """Enabled without being asked, once the initial null response is confirmed."""
    retries: int = 3
    retry_pause_s: float = 10.0
    retry_pause_max_s: float = 300.0
    hold_off_events: int = 1
    hold_off_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How an outstation behaves towards one master. Times in s, sizes in octets."""

    fragment_size: int = 2048
    receive_size: int = 2048
    confirm_timeout_s: float = 5.0
    select_timeout_s: float = 10.0
    command_wait_s: float = 3.0
    max_controls: int = 16
    keep_alive_s: float = 60.0
    self_address: bool = False
    need_time_s: float | None = None
    """IIN1.4 at start and whenever this long has passed since the master wrote the time; None: never."""
    restart: bool = False
    """Whether a restart begins this master's association anew, or is refused."""
    restart_delay_ms: int = 0
    clear_counters: bool = True
    attributes: tuple[tuple[int, str], ...] = ()
    """Texts of g0 by variation."""
    octet_strings: tuple[str, ...] = ()
    """g110, from index 0."""


@dataclass(slots=True, kw_only=True)
class MasterPlan:
    """One master at one outstation address. `addresses` are IP addresses or networks; `capacity` per class 1 to 3."""

    name: str
    address: int
    outstation: int
    addresses: tuple[str, ...]
    bindings: BindingColumns
    dial: tuple[str, int] | None = None
    dial_retry_s: float = 5.0
    serial: bool = False
    commands: bool = False
    capacity: tuple[int, int, int] = (150_000, 150_000, 150_000)
    unsolicited: UnsolicitedPlan | None = None
    local_remote: tuple[int, float] | None = None
    """Table row of the site's local/remote switch, and its value when remote."""
    devices: Rows = field(default_factory=lambda: np.empty(0, np.uint32))
    """Table rows that say of each device behind this master's points whether it answers."""
    parameters: Parameters = field(default_factory=Parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialPlan:
    """One serial line."""

    path: str
    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1


@dataclass(slots=True, kw_only=True)
class ServerPlan:
    """One server: where it listens or dials, and its masters. `commands`: table rows that each master may command."""

    name: str
    masters: list[MasterPlan]
    listen: tuple[str, int] | None = None
    udp: tuple[str, int] | None = None
    serial: SerialPlan | None = None
    tls: TlsPlan | None = None
    connections: int = 16
    system: dict[str, MasterSystemRows] = field(default_factory=dict)
    commands: dict[str, Rows] = field(default_factory=dict)
