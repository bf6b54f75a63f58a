"""The keys and columns of CAN devices, and their compilation to one plan per bus. Imported only while checking."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import can
from pydantic import AfterValidator, BeforeValidator, Field

from gateway.contracts.places import Report, nearest
from gateway.contracts.settings import Cell, DeviceRow, DeviceSettings, DeviceSource, Strict
from protocols.can import dbc
from protocols.can.checksum import METHODS
from protocols.can.compile import BusCompiler
from protocols.can.plan import BusPlan


def _interface(name: str) -> str:
    if name not in can.VALID_INTERFACES:
        raise ValueError(f"expected an interface of python-can{nearest(name, can.VALID_INTERFACES)}, found {name}")
    return name


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _method(name: str) -> str:
    if name not in METHODS:
        raise ValueError(f"expected one of {', '.join(METHODS)}, found {name}")
    return name


Values = dict[str, float | str]
"""Signal -> value in the unit of the DBC, or a word of its value table."""


class FilterSettings(Strict):
    """Frames that are let in: (identifier & mask) equal to (id & mask)."""

    id: Annotated[int, Field(ge=0, lt=1 << 29)]
    mask: Annotated[int, Field(ge=0, lt=1 << 29)] | None = None
    extended: bool = False


class ChecksumSettings(Strict):
    """The checksum of a transmitted message."""

    signal: str
    method: Annotated[str, AfterValidator(_method)]
    data_id: Annotated[int, Field(ge=0, le=0xFFFF)] | None = None


class TransmitSettings(Strict):
    """One entry of `transmit`: a message that the gateway sends."""

    message: str
    cycle_ms: Annotated[float, Field(ge=0, le=3_600_000)] | None = None
    begin: Literal["open", "written"] | None = None
    counter: str | None = None
    checksum: ChecksumSettings | None = None
    values: Values = Field(default_factory=dict)
    stop: Values | None = None


class CanDevice(DeviceSettings):
    """Keys of a device with `driver: can`."""

    interface: Annotated[str, AfterValidator(_interface)]
    channel: Annotated[str, BeforeValidator(_text), Field(min_length=1)]
    dbc: str
    bitrate: Annotated[int, Field(ge=5_000, le=1_000_000)] | None = None
    fd: bool = False
    listen_only: bool = True
    filters: Literal["all", "mapped"] | list[FilterSettings] = "all"
    cycle_ms: dict[str, Annotated[float, Field(ge=1, le=3_600_000)]] = Field(default_factory=dict)
    default_cycle_ms: Annotated[float, Field(ge=1)] = 1000
    silent_ms: Annotated[float, Field(ge=50)] | None = None
    id_offset: Annotated[int, Field(ge=-(1 << 29), lt=1 << 29)] = 0
    transmit: list[TransmitSettings] = Field(default_factory=list)
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    fallback: str = ""
    reconnect_max_s: Annotated[float, Field(ge=0.2)] = 3.0
    gather_ms: Annotated[float, Field(ge=0, le=1000)] = 5

    def resolved(self, folder: Path) -> Self:
        """Paths made whole."""
        paths = {"dbc": str(folder / self.dbc)}
        if self.fallback:
            paths["fallback"] = str((folder / self.fallback).absolute())
        return self.model_copy(update=paths)

    def messages(self) -> Mapping[str, Any]:
        """Messages of the DBC by name. Raises `protocols.can.dbc.DbcError`."""
        return dbc.load(self.dbc).messages

    def cycle_s(self, message: str) -> float:
        """How often this message comes: as given here, else as the DBC has it, else the device's default."""
        given = self.cycle_ms.get(message)
        if given is not None:
            return given / 1000
        found = self.messages().get(message)
        return (0.0 if found is None else dbc.cycle_s(found)) or self.default_cycle_ms / 1000


class CanRow(DeviceRow):
    """Columns of a CAN device map."""

    message: str
    signal: str
    on: Annotated[str | None, Cell] = None
    off: Annotated[str | None, Cell] = None
    valid: Annotated[str | None, Cell] = None
    invalid: Annotated[str | None, Cell] = None

    def scan_s(self, device: Any) -> float | None:
        """How often its message comes, in s; a commanded point does not age."""
        if self.kind in ("setpoint", "control"):
            return None
        try:
            return float(device.cycle_s(self.message))
        except dbc.DbcError:
            return None

    def where(self) -> str:
        """Message and signal of the DBC."""
        return f"{self.message}.{self.signal}"


class CanSettings:
    """`gateway.contracts.FieldSettings` of CAN."""

    device_model = CanDevice
    row_model = CanRow

    def compile(self, devices: list[Any], report: Any) -> list[BusPlan]:
        """Check all devices and rows; one plan per bus. Rows with a fatal problem are left out of the plans."""
        buses: dict[tuple[str, str], BusCompiler] = {}
        for source in cast(list[DeviceSource], devices):
            device = cast(CanDevice, source.settings)
            bus = buses.setdefault((device.interface, device.channel), BusCompiler(source, cast(Report, report)))
            bus.add(source)
        return [bus.plan() for bus in buses.values()]


SETTINGS = CanSettings()
