"""site.yaml's own sections. Devices, servers and masters are checked with their protocol's models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.contracts.settings import Name, PointName, Strict


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
    max_age_s: Annotated[float | None, Field(gt=0)] = None


class LocalRemoteSettings(Strict):
    """The point that says whether remote control is allowed, and the value that allows it."""

    point: PointName
    remote_when: float


class ControlSettings(Strict):
    """`control:`. Interlocks and droop are part of the format, but not run by this version."""

    local_remote: LocalRemoteSettings | None = None
    interlocks: Any = None
    droop: Any = None


class LogSettings(Strict):
    """`log:`."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class SiteSettings(Strict):
    """The top of site.yaml."""

    site: Name
    state_dir: Annotated[str, Field(min_length=1)] = "var"
    devices: list[dict[str, Any]] = Field(default_factory=list)
    calculated: list[CalculatedSettings] = Field(default_factory=list)
    servers: list[dict[str, Any]] = Field(default_factory=list)
    control: ControlSettings = ControlSettings()
    history: dict[str, Any] | None = None
    hmi: dict[str, Any] | None = None
    log: LogSettings = LogSettings()
