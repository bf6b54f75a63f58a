"""One entry of `control: droop:`. Imported only while a site is checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.contracts.settings import Name, PointName, Strict

_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_Percent = Annotated[float, Field(ge=0, le=100)]
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
Points = Annotated[list[Pair], Field(min_length=1, max_length=100)]
"""A curve: (x, y) in rising order of x."""


class FastSettings(Strict):
    """`fast:` of a droop entry."""

    rate_hz_per_s: _Positive
    deviation_hz: _NotNegative
    percent: _Percent
    hold_s: _NotNegative = 10
    fade_s: _NotNegative = 10


class RecoverySection(Strict):
    """`recovery:` of a droop entry."""

    target_percent: _Percent = 50
    low_percent: _Percent = 40
    high_percent: _Percent = 60
    limit_kw: _Positive | None = None
    restore_min: _Positive = 120


class BandSettings(Strict):
    """`bands:` of a droop entry."""

    edges_hz: Annotated[list[float], Field(min_length=1, max_length=20)]
    names: list[str]


class DroopSettings(Strict):
    """What is left out comes from the profile, then from what stands beside the key in the documentation."""

    unit: Name
    frequency: Annotated[list[PointName], Field(min_length=1, max_length=8)]
    profile: str = "iegc"
    setpoint: PointName | None = None
    nominal_hz: Annotated[float | None, Field(gt=10, lt=100)] = None
    droop_percent: Annotated[float | None, Field(ge=0.1, le=50)] = None
    deadband_hz: Pair | None = None
    curve: Literal["no-step", "with-step"] | Points | None = None
    insensitivity_hz: Annotated[float | None, Field(ge=0, le=0.010)] = None
    limit_percent: Annotated[float | None, Field(gt=0, le=100)] = None
    damping_percent_s_per_hz: _NotNegative | None = None
    fast: FastSettings | None = None
    hold_s: _NotNegative | None = None
    lost_ramp_percent_per_s: _Positive | None = None
    rated_kw: _Positive | None = None
    charge_kw: _Positive | None = None
    ramp_kw_per_s: _Positive | None = None
    ramp_percent_per_min: _Positive | None = None
    lift_ramp: bool = False
    soc: PointName | None = None
    soc_limits: Pair | None = None
    capacity_kwh: _Positive | None = None
    discharge_over_soc: Points | None = None
    charge_over_soc: Points | None = None
    temperature: PointName | None = None
    power_over_temperature: Points | None = None
    reserve_min: _NotNegative = 0
    recovery: RecoverySection | None = None
    voltage: PointName | None = None
    voltage_dip: _NotNegative = 0
    rocof_window_ms: Annotated[float, Field(ge=100, le=10_000)] = 500
    rocof_block_ms: _NotNegative = 500
    blend_s: _NotNegative = 1
    return_s: _NotNegative = 10
    frequency_limits_hz: Pair | None = None
    bands: BandSettings | None = None
    cycle_ms: Annotated[float | None, Field(ge=5, le=1000)] = None
