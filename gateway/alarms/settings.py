"""`alarms:` of site.yaml and the columns of its map. Imported only while a site is checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.contracts.settings import AlarmPriority, Cell, Name, Strict

_NotNegative = Annotated[float, Field(ge=0)]
_Positive = Annotated[float, Field(gt=0)]


class DeadbandSettings(Strict):
    """Dead bands where a row names none, in percent of the point's range, by the class of its unit."""

    temperature: _NotNegative = 1.0
    pressure: _NotNegative = 2.0
    flow: _NotNegative = 5.0
    level: _NotNegative = 5.0
    frequency: _NotNegative = 0.1
    other: _NotNegative = 0.5


class FloodSettings(Strict):
    """More than `count` alarms within `window_s` are a flood."""

    count: Annotated[int, Field(ge=1, le=1000)] = 10
    window_s: _Positive = 600.0


class ChatterSettings(Strict):
    """An alarm raised `count` times within `window_s` chatters."""

    count: Annotated[int, Field(ge=2, le=100)] = 3
    window_s: _Positive = 60.0


class AlarmSettings(Strict):
    """`alarms:`."""

    map: str | None = None
    confirm: bool = False
    shelve_max_s: _Positive = 28_800.0
    standing_h: _Positive = 24.0
    deadband_percent: DeadbandSettings = DeadbandSettings()
    flood: FloodSettings = FloodSettings()
    chatter: ChatterSettings = ChatterSettings()


class AlarmRow(Strict):
    """One row of the alarm map: refines the alarms of one point, or of all that a pattern with ``*`` names."""

    point: Annotated[str, Field(pattern=r"^[A-Za-z_*][A-Za-z0-9_.\[\]*/-]*$", max_length=200)]
    limit: Annotated[Literal["ll", "l", "h", "hh", "alarm", "quality", "*"] | None, Cell] = None
    value: Annotated[float | None, Cell] = None
    priority: Annotated[AlarmPriority | None, Cell] = None
    on_delay_s: Annotated[_NotNegative | None, Cell] = None
    off_delay_s: Annotated[_NotNegative | None, Cell] = None
    deadband: Annotated[_NotNegative | None, Cell] = None
    message: str = ""
    group: Annotated[Name | None, Cell] = None
    suppressed_when: Annotated[str | None, Cell] = None
