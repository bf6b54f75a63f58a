"""`control:` of site.yaml and the columns of the interlock matrix. Imported only while a site is checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gateway.contracts.settings import AlarmPriority, Cell, Name, PointName, Strict

_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]


def _nothing_is_empty(value: object) -> object:
    return [] if value is None else value


class LocalRemoteSettings(Strict):
    """The point that says whether remote control is allowed, and the value that allows it."""

    point: PointName
    remote_when: float


class UnitSettings(Strict):
    """One entry of `units:`. What is left out comes from a `droop` entry of the same unit, or from the points."""

    unit: Name
    setpoint: PointName | None = None
    run: PointName | None = None
    running: PointName | None = None
    power: PointName | None = None
    heartbeat: PointName | None = None
    heartbeat_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    rated_kw: _Positive | None = None
    limits_kw: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    ramp_kw_per_s: _Positive | None = None
    soc: PointName | None = None
    soc_limits: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    soc_hysteresis: Annotated[float, Field(ge=0, le=50)] = 0.5
    soc_hold_s: _NotNegative = 10.0
    resolution_kw: _Positive = 0.1
    keep_alive_s: _NotNegative = 0.0
    valid_s: _Positive | None = None
    operator_valid_s: _Positive = 900.0
    fallback: Literal["hold"] | float = "hold"
    safe_state: Literal["stop", "zero", "hold"] = "stop"


Entries = Annotated[list[dict[str, Any]], BeforeValidator(_nothing_is_empty)]


class ControlSettings(Strict):
    """`control:`."""

    local_remote: LocalRemoteSettings | None = None
    cycle_ms: Annotated[float, Field(ge=5, le=1000)] = 20.0
    start_grace_s: _NotNegative = 10.0
    watchdog_s: Annotated[float, Field(ge=0.5, le=60)] = 2.0
    bypass_max_s: _Positive = 8 * 3600.0
    interlocks: str | None = None
    units: Entries = Field(default_factory=list)
    droop: Entries = Field(default_factory=list)
    agc: Entries = Field(default_factory=list)
    schedules: Entries = Field(default_factory=list)
    reactive: Entries = Field(default_factory=list)
    fleets: Entries = Field(default_factory=list)
    locations: Entries = Field(default_factory=list)


class InterlockRow(Strict):
    """One row of the cause-and-effect matrix."""

    name: Name
    when: Annotated[str, Field(min_length=1, max_length=4000)]
    then: Annotated[str, Field(min_length=1, max_length=1000)]
    delay_ms: Annotated[_NotNegative | None, Cell] = None
    vote: Annotated[Annotated[str, Field(pattern=r"^[1-9]oo[1-9]$")] | None, Cell] = None
    latch: Annotated[bool | None, Cell] = None
    reset: Annotated[Literal["auto", "hmi", "field+hmi"] | None, Cell] = None
    priority: Annotated[AlarmPriority | None, Cell] = None
    message: str = ""
    on_bad: Annotated[Literal["trip", "hold", "quality_ok"] | None, Cell] = None
    bypass: Annotated[bool | None, Cell] = None
