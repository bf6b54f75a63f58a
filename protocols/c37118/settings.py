"""The keys and columns of PMU streams, and their compilation to one plan per stream. Imported only while checking."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from gateway.contracts.places import Place, Report
from gateway.contracts.settings import Cell, DeviceRow, DeviceRowSource, DeviceSettings, DeviceSource
from protocols.c37118.channel import Quantity, parse_channel
from protocols.c37118.frame import FrameType
from protocols.c37118.plan import LISTEN, Binding, StreamPlan, Url
from protocols.c37118.url import parse_url


def _checked_url(text: str) -> str:
    parse_url(text)
    return text


def _text(value: object) -> object:
    """A spreadsheet's number is a name or an id as well."""
    return str(value) if isinstance(value, int) else value


class PmuDevice(DeviceSettings):
    """Keys of a device with `driver: c37118`."""

    url: Annotated[str, AfterValidator(_checked_url)]
    id: Annotated[int, Field(ge=1, le=65534)]
    cfg: Literal[1, 2, 3] = 2
    rate: Annotated[float, Field(gt=0, le=1000)] = 50
    timeout_ms: Annotated[int, Field(ge=10)] = 1000
    reconnect_max_s: Annotated[float, Field(ge=0.2)] = 3.0


class PmuRow(DeviceRow):
    """Columns of a PMU's device map."""

    pmu: Annotated[Annotated[str, BeforeValidator(_text)] | None, Cell] = None
    channel: str

    def scan_s(self, device: Any) -> float | None:
        """From one frame to the next, in s."""
        return 1.0 / float(device.rate)

    def where(self) -> str:
        """Station and channel."""
        return f"channel {self.channel}" + (f" of {self.pmu}" if self.pmu else "")


_CONFIGURATIONS: Final = {1: FrameType.CFG1, 2: FrameType.CFG2, 3: FrameType.CFG3}
_RADIANS: Final = frozenset({"rad", "radian", "radians"})
_KIND_PROBLEMS: Final = {
    "setpoint": "a PMU takes no set-points; expected analog, counter or binary",
    "control": "a PMU takes no commands; expected analog, counter or binary",
    "double": "a PMU's digitals are single bits; expected two rows of kind binary",
}


def _binding(source: DeviceRowSource, report: Report) -> Binding | None:
    """One row, or None when something is wrong with it (reported)."""
    row = cast(PmuRow, source.settings)
    if row.kind in _KIND_PROBLEMS:
        report.error(source.place.at("kind"), f"{source.name}: {_KIND_PROBLEMS[row.kind]}")
        return None
    try:
        channel = parse_channel(row.channel, row.kind == "binary")
    except ValueError as error:
        report.error(source.place.at("channel"), f"{source.name}: {error}")
        return None
    pair = (1.0 if row.scale is None else row.scale, row.offset or 0.0)
    if row.kind == "binary" and pair not in ((1.0, 0.0), (-1.0, 1.0)):
        report.error(
            source.place.at("scale"),
            f"{source.name}: a binary has no scale or offset; expected empty cells, or -1 and 1 to invert it",
        )
        return None
    return Binding(
        row=source.row,
        name=source.name,
        pmu=row.pmu or "",
        channel=channel,
        radians=channel.quantity is Quantity.ANGLE and row.unit.lower() in _RADIANS,
        scale=pair[0],
        offset=pair[1],
    )


def _bindings(source: DeviceSource, report: Report) -> list[Binding]:
    bindings: list[Binding] = []
    seen: dict[tuple[str, str, bool, float, float], DeviceRowSource] = {}
    for row in sorted(source.rows, key=lambda each: each.row):
        binding = _binding(row, report)
        if binding is None:
            continue
        key = (binding.pmu, binding.channel.text, binding.radians, binding.scale, binding.offset)
        first = seen.setdefault(key, row)
        if first is not row:
            report.warning(
                row.place.at("channel"), f"{row.name} and {first.name} ({first.place}) show the same channel"
            )
        bindings.append(binding)
    return bindings


def _plan(source: DeviceSource, url: Url, report: Report) -> StreamPlan:
    device = cast(PmuDevice, source.settings)
    bindings = _bindings(source, report)
    return StreamPlan(
        devices=[device.name],
        rows=np.array([binding.row for binding in bindings], np.uint32),
        url=url,
        id=device.id,
        bindings=bindings,
        configuration=_CONFIGURATIONS[device.cfg],
        rate=float(device.rate),
        timeout_s=device.timeout_ms / 1000,
        reconnect_max_s=device.reconnect_max_s,
    )


def _own_port(url: Url) -> int:
    """The UDP port that this stream takes on our side; 0 when any will do."""
    return url.port if url.scheme == LISTEN else url.local_port


class PmuSettings:
    """`gateway.contracts.FieldSettings` of C37.118."""

    device_model = PmuDevice
    row_model = PmuRow

    def compile(self, devices: list[Any], report: Any) -> list[StreamPlan]:
        """Check all devices and rows; one plan per device. Rows with a fatal problem are left out of the plans."""
        taken: dict[int, Place] = {}
        plans = []
        for source in devices:
            url = parse_url(source.settings.url)
            port, place = _own_port(url), source.key("url")
            if port and taken.setdefault(port, place) is not place:
                report.error(place, f"UDP port {port} is already taken ({taken[port]}); expected another port")
            plans.append(_plan(source, url, report))
        return plans


SETTINGS = PmuSettings()
