"""What a droop entry of a site compiles to. Picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.control.envelope import EnvelopeSettings
from gateway.control.evidence.analysis import Grounds
from gateway.control.frequency.response import ResponseSettings
from gateway.control.frequency.states import IEGC, FrequencyBands
from gateway.control.recovery import RecoverySettings
from gateway.points.model import NO_ROW

if TYPE_CHECKING:
    from gateway.control.frequency.controller import DroopController


@dataclass(frozen=True, slots=True, kw_only=True)
class DroopRows:
    """Table rows of `system/control/UNIT/...`; `enable` and `test_hz` are commanded."""

    frequency_hz: int
    frequency_source: int
    frequency_band: int
    rocof_hz_per_s: int
    droop_state: int
    response_kw: int
    headroom_up_kw: int
    headroom_down_kw: int
    available_low_kw: int
    available_high_kw: int
    frequency_lost: int
    droop_enabled: int
    droop_off: int
    droop_enable: int
    test_hz: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DroopPlan:
    """One unit's frequency response. `unit` is an index into the control plan's units; rows are table rows."""

    unit: int
    name: str
    frequency: tuple[int, ...]
    """In order of preference."""
    rated_kw: float
    response: ResponseSettings
    envelope: EnvelopeSettings
    grounds: Grounds
    rows: DroopRows
    ramp_kw_per_s: float | None
    """Of the response; None: the unit's."""
    soc: int = NO_ROW
    temperature: int = NO_ROW
    power: int = NO_ROW
    voltage: int = NO_ROW
    voltage_dip: float = 0.0
    """Below this value of `voltage` the rate of change is blocked."""
    recovery: RecoverySettings | None = None
    bands: FrequencyBands = IEGC
    frequency_limits_hz: tuple[float, float] = (45.0, 55.0)
    rocof_window_s: float = 0.5
    rocof_block_s: float = 0.5
    blend_s: float = 1.0
    return_s: float = 10.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All settings as the site has them, for the attestation."""
    attestation: str = ""

    def build(self) -> DroopController:
        """The controller."""
        from gateway.control.frequency.controller import DroopController  # noqa: PLC0415 - plans load no controllers

        return DroopController(self)
