"""`control:` of a site, compiled. Picklable; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.control.controller import Controller
from gateway.control.interlock.plan import Interlock
from gateway.control.unit import Unit, UnitRows
from gateway.points.model import NO_ROW


class ControllerPlan(Protocol):
    """What a section of `control:` compiles to. Picklable; the controller with its state is built in the core."""

    def build(self) -> Controller:
        """A fresh controller."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerRows:
    """Table rows of `system/control/...`: how the cycle itself does; `stop_all` and `reset` are commanded."""

    cycle_us: int
    jitter_us: int
    overruns: int
    cycles: int
    stop_all: int
    reset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlan:
    """What the core's control cycle runs."""

    units: Sequence[Unit] = ()
    unit_rows: Sequence[UnitRows] = ()
    interlocks: Sequence[Interlock] = ()
    rows: RunnerRows
    cycle_ms: float = 20.0
    start_grace_s: float = 10.0
    watchdog_s: float = 2.0
    bypass_max_s: float = 8 * 3600.0
    local_row: int = NO_ROW
    remote_when: float = 0.0
    controllers: Sequence[ControllerPlan] = field(default=())
    """Plans of further controllers, in the order in which they are asked."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Every setting of control as the site has it, by section, for the attestation."""
    attestation: str = ""
    """SHA-256 of the settings."""
