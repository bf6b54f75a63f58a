"""The models that configuration files are validated against. Imported only while a site is checked."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.contracts.places import Place

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=64)]
"""Of a site, device, server or master: starts with a letter; letters, digits, ``_ . -``."""

PointName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.\[\]-]*(/[A-Za-z0-9_.\[\]-]+)*$", max_length=200)]


def _blank_is_missing(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


AlarmPriority = Literal["critical", "high", "medium", "low", "off"]
"""``off``: there is no such alarm."""

Cell = BeforeValidator(_blank_is_missing)
"""For a CSV column that may be empty: ``Annotated[float | None, Cell] = None``."""


def _address(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


PeerAddress = Annotated[str, AfterValidator(_address)]
"""An IP address or network."""


class Strict(BaseModel):
    """Unknown keys are errors; values are not changed after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False, defer_build=True
    )


class DeviceSettings(Strict):
    """Keys of any device in `devices:`; a protocol adds its own."""

    name: Name
    driver: str
    map: str
    prefix: PointName

    def resolved(self, folder: Path) -> Self:
        """The same with the paths in a protocol's own keys made whole; `folder` is that of the site file."""
        return self


class DeviceRow(Strict):
    """Columns of any device map; a protocol adds its own."""

    point: PointName
    kind: Literal["analog", "binary", "double", "counter", "setpoint", "control"]
    unit: str = ""
    description: str = ""
    scale: Annotated[float | None, Cell] = None
    offset: Annotated[float | None, Cell] = None
    low: Annotated[float | None, Cell] = None
    high: Annotated[float | None, Cell] = None
    alarm_ll: Annotated[float | None, Cell] = None
    alarm_l: Annotated[float | None, Cell] = None
    alarm_h: Annotated[float | None, Cell] = None
    alarm_hh: Annotated[float | None, Cell] = None
    alarm: Annotated[float | None, Cell] = None
    alarm_priority: Annotated[AlarmPriority | None, Cell] = None
    alarm_message: str = ""
    max_age_s: Annotated[Annotated[float, Field(gt=0)] | None, Cell] = None
    feedback: Annotated[str | None, Cell] = None
    feedback_tolerance: Annotated[Annotated[float, Field(ge=0)] | None, Cell] = None
    feedback_s: Annotated[Annotated[float, Field(gt=0)] | None, Cell] = None
    chatter_count: Annotated[Annotated[int, Field(ge=1, le=1000)] | None, Cell] = None
    chatter_s: Annotated[Annotated[float, Field(gt=0, le=86_400)] | None, Cell] = None

    def scan_s(self, device: Any) -> float | None:
        """How often this row is read, in s, when the protocol knows; sets the default of `max_age_s`."""
        return None

    def where(self) -> str:
        """Where in the device it stands, for a person: ``input 4102 bit 3``."""
        return ""


class ServerSettings(Strict):
    """Keys of any server in `servers:`; a protocol adds its own."""

    name: Name
    protocol: str
    listen: str
    masters: list[Any] = Field(default_factory=list)

    def where(self) -> str:
        """Where it meets its masters, for a person: one that connects to somebody says to whom."""
        return self.listen

    def where_of(self, point: str) -> str:
        """The address that a point has by its name, where a protocol gives it one without a master's map."""
        return ""


class MasterSettings(Strict):
    """Keys of any master; a protocol adds its own."""

    name: Name
    addresses: list[PeerAddress] = Field(min_length=1)
    map: str
    commands: bool = False


class MasterRow(Strict):
    """Columns of any master map; a protocol adds its own."""

    point: PointName

    def where(self) -> str:
        """Where its master finds it, for a person: ``ca 1 ioa 4101``."""
        return ""


@dataclass(frozen=True, slots=True)
class DeviceRowSource:
    """A validated device-map row, the table row of its point, and where it stands."""

    settings: Any
    row: int
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class DeviceSource:
    """A validated device with its map. `settings` is the protocol's `device_model`, `keys` where each key stands."""

    settings: Any
    rows: list[DeviceRowSource]
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)

    def key(self, name: str) -> Place:
        """Where this key stands, or the device if it was left out."""
        return self.keys.get(name, self.place)


@dataclass(frozen=True, slots=True)
class MasterRowSource:
    """A validated master-map row, the table row of its point, and where it stands."""

    settings: Any
    row: int
    place: Place


@dataclass(frozen=True, slots=True)
class MasterSource:
    """A validated master with its map."""

    settings: Any
    rows: list[MasterRowSource]
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)

    def key(self, name: str) -> Place:
        """Where this key stands, or the master if it was left out."""
        return self.keys.get(name, self.place)


@dataclass(frozen=True, slots=True)
class ServerSource:
    """A validated server with its masters. `settings.masters` is not to be used; `masters` is.

    `rows`: of the server's own map, where its protocol has one in place of maps of masters (key `map`).
    """

    settings: Any
    masters: list[MasterSource]
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    rows: list[MasterRowSource] = field(default_factory=list)
    local_remote: tuple[int, float] | None = None
    """Table row of the site's local/remote switch and its value when remote; None: there is no such switch."""

    def key(self, name: str) -> Place:
        """Where this key stands, or the server if it was left out."""
        return self.keys.get(name, self.place)
