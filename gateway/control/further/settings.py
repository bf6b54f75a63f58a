"""Entries of `control:` that become controllers. Imported only while a site is checked."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator

from gateway.contracts.settings import Cell, Name, PointName, Strict
from gateway.control.frequency.settings import Pair, Points

_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]


class AgcSection(Strict):
    """One entry of `agc:`."""

    unit: Name
    signal: PointName | None = None
    enable: PointName | None = None
    limits_kw: Pair | None = None
    period_s: _Positive = 4
    valid_s: _Positive | None = None


class ScheduleSection(Strict):
    """One entry of `schedules:`."""

    unit: Name
    file: str | None = None
    points: PointName | None = None
    time_zone: str = "Asia/Kolkata"
    power: PointName | None = None

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"expected a time zone such as Asia/Kolkata, found {value}")
        return value


class ScheduleRow(Strict):
    """Columns of a schedule. Without `date` a row holds on every day that has no rows of its own."""

    block: Annotated[int, Field(ge=1, le=96)]
    kw: float
    date: Annotated[str | None, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), Cell] = None


class ReactiveSection(Strict):
    """One entry of `reactive:`."""

    unit: Name
    setpoint: PointName
    mode: Literal["fixed", "power-factor", "voltage"] = "fixed"
    kvar: float = 0
    power_factor: Annotated[float, Field(ge=-1, le=1)] = 1
    voltage: PointName | None = None
    nominal_voltage: _Positive | None = None
    deadband_percent: _NotNegative = 1
    slope_percent: _Positive = 4
    limit_kvar: _Positive | None = None
    rated_kva: _Positive
    high_over_power: Points | None = None
    low_over_power: Points | None = None
    ramp_kvar_per_s: _Positive | None = None
    hold_s: _NotNegative = 10


class FleetSection(Strict):
    """One entry of `fleets:`."""

    name: Name
    units: Annotated[list[Name], Field(min_length=1)]
    method: Literal["proportional", "balanced", "priority"] = "proportional"
    valid_s: _Positive | None = None
    ramp_kw_per_s: _Positive | None = None
    min_run_kw: dict[Name, _NotNegative] = Field(default_factory=dict)


class LocationSection(Strict):
    """One entry of `locations:`."""

    name: Name
    members: Annotated[list[Name], Field(min_length=1)]
