"""site.yaml's own sections. Devices, servers and masters are checked with their protocol's models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gateway.contracts.settings import AlarmPriority, Name, PointName, Strict


def _nothing_is_empty(value: object) -> object:
    return [] if value is None else value


Entries = Annotated[list[dict[str, Any]], BeforeValidator(_nothing_is_empty)]
"""A list of mappings that are checked one by one; a key with everything below it commented out is an empty list."""


class CalculatedSettings(Strict):
    """One entry of `calculated:`, a point made from points."""

    point: PointName
    expr: str = Field(max_length=4000)
    kind: Literal["analog", "binary", "double", "counter"] = "analog"
    unit: str = ""
    description: str = ""
    low: float | None = None
    high: float | None = None
    alarm_ll: float | None = None
    alarm_l: float | None = None
    alarm_h: float | None = None
    alarm_hh: float | None = None
    alarm: float | None = None
    alarm_priority: AlarmPriority | None = None
    alarm_message: str = ""
    max_age_s: Annotated[float | None, Field(gt=0)] = None


class LogSettings(Strict):
    """`log:`."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class SiteSettings(Strict):
    """The top of site.yaml."""

    site: Name
    state_dir: Annotated[str, Field(min_length=1)] = "var"
    devices: Entries = Field(default_factory=list)
    calculated: Entries = Field(default_factory=list)
    servers: Entries = Field(default_factory=list)
    control: dict[str, Any] | None = None
    alarms: dict[str, Any] | None = None
    history: dict[str, Any] | None = None
    hmi: dict[str, Any] | None = None
    log: LogSettings = LogSettings()
