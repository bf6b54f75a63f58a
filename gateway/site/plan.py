"""A checked site, compiled: what the supervisor hands to the core and to every worker.

Picklable and small; nothing in here imports pydantic or YAML, so the processes that unpickle it stay lean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.summary import AlarmSystemRows
from gateway.contracts import MasterSystemRows, Problem
from gateway.control.plan import ControlPlan
from gateway.history.plan import HistoryPlan
from gateway.points.calculated import CalculatedPoint
from gateway.points.model import PointCatalogue
from gateway.site.addresses import Addresses


@dataclass(frozen=True, slots=True)
class DeviceSystemRows:
    """Table rows of the system points of one device."""

    online: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEntry:
    """One server of the site. `plan` is what the protocol's settings compiled; `bindings` counts per master."""

    name: str
    protocol: str
    listen: str
    plan: Any
    masters: list[str]
    bindings: dict[str, int]


@dataclass(kw_only=True)
class SitePlan:
    """A whole site. Rows are indices into the point table."""

    name: str
    path: Path
    """The site file, absolute."""
    state_dir: Path
    """Absolute."""
    catalogue: PointCatalogue
    drivers: list[tuple[str, Any]] = field(default_factory=list)
    """(driver name, driver plan), one per driver instance to be made."""
    servers: list[ServerEntry] = field(default_factory=list)
    calculated: list[CalculatedPoint] = field(default_factory=list)
    """In the order in which they must be evaluated."""
    local_remote: tuple[int, float] | None = None
    """(row, value that allows remote control); None: remote control is always allowed."""
    rights: dict[tuple[str, str], NDArray[np.uint32]] = field(default_factory=dict)
    """(server, master) -> rows that this master may command."""
    holders: frozenset[tuple[str, str]] = frozenset()
    """(server, master) that may force and block measured points."""
    device_drivers: dict[str, str] = field(default_factory=dict)
    """Device -> driver name, in the order of the file."""
    device_rows: dict[str, NDArray[np.uint32]] = field(default_factory=dict)
    device_system: dict[str, DeviceSystemRows] = field(default_factory=dict)
    master_system: dict[tuple[str, str], MasterSystemRows] = field(default_factory=dict)
    alarms: AlarmCatalogue | None = None
    alarm_system: AlarmSystemRows | None = None
    control: ControlPlan | None = None
    """What the control cycle runs; None: the site has none."""
    log_level: str = "info"
    history: HistoryPlan | None = None
    screen: Any = None
    """What the HMI's package compiled of its section; None: there is no HMI."""
    addresses: Addresses | None = None
    """Where points come from and go, for the HMI; None without one."""
    warnings: list[Problem] = field(default_factory=list)

    def server(self, name: str) -> ServerEntry:
        """The server of this name; `KeyError` if there is none."""
        for entry in self.servers:
            if entry.name == name:
                return entry
        raise KeyError(name)
