"""A site as a single-line diagram: one grid connection, a busbar, and what feeds it or is fed from it. Pure.

The drawing itself is made in the browser; here is found what belongs into it, for any site.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.control.unit import Unit
from gateway.points.model import NO_ROW
from gateway.site.plan import SitePlan
from hmi.sitedevices import SiteDevice, Sort, site_devices, tokens

_FEEDERS: Final = (Sort.BATTERY, Sort.CONVERTER, Sort.SOLAR, Sort.WIND, Sort.GENERATOR, Sort.LOAD)


@dataclass(slots=True)
class Feeder:
    """One column of the drawing: a unit with its devices. `unit`: index into the control plan's units, or -1."""

    name: str
    sort: Sort
    devices: list[SiteDevice] = field(default_factory=list)
    unit: int = -1
    power: int | None = None
    soc: int | None = None
    setpoint: int | None = None
    running: int | None = None


@dataclass(slots=True)
class Diagram:
    """`connection`: devices at the grid connection, the meter first; empty where none is known."""

    connection: list[SiteDevice] = field(default_factory=list)
    feeders: list[Feeder] = field(default_factory=list)

    @property
    def power(self) -> int | None:
        """The point that says what the site exports; None: it is the sum of the feeders."""
        return next((device.power for device in self.connection if device.power is not None), None)

    @property
    def voltage(self) -> int | None:
        return next((device.voltage for device in self.connection if device.voltage is not None), None)


def diagram(plan: SitePlan) -> Diagram:
    """What belongs into the drawing of this site."""
    devices = site_devices(plan)
    units = () if plan.control is None else plan.control.units
    feeders = [_of_unit(plan, index, unit) for index, unit in enumerate(units)]
    left: list[SiteDevice] = []
    for device in devices:
        owner = next((each for each, unit in zip(feeders, units, strict=True) if _owns(plan, unit, device)), None)
        if owner is None:
            left.append(device)
        else:
            owner.devices.append(device)
    connection, others = _connection(left)
    feeders += _free(others)
    for feeder in feeders:
        _complete(feeder)
    return Diagram(connection, feeders)


def frequencies(plan: SitePlan, drawing: Diagram) -> list[int]:
    """Points that tell the frequency, the most trusted first: what control goes by, then the grid connection's."""
    asked = [row for each in _droops(plan) for row in each]
    metered = [device.frequency for device in drawing.connection]
    fed = [device.frequency for feeder in drawing.feeders for device in feeder.devices]
    return list(dict.fromkeys(row for row in (*asked, *metered, *fed) if row is not None))


def _droops(plan: SitePlan) -> Iterable[tuple[int, ...]]:
    controllers = () if plan.control is None else plan.control.controllers
    return (tuple(each.frequency) for each in controllers if hasattr(each, "frequency"))


def _of_unit(plan: SitePlan, index: int, unit: Unit) -> Feeder:
    def row(number: int) -> int | None:
        return None if number == NO_ROW else number

    return Feeder(
        name=unit.name,
        sort=Sort.CONVERTER if unit.soc == NO_ROW else Sort.BATTERY,
        unit=index,
        power=row(unit.power),
        soc=row(unit.soc),
        setpoint=row(unit.setpoint),
        running=row(unit.running),
    )


def _owns(plan: SitePlan, unit: Unit, device: SiteDevice) -> bool:
    """By name, or because the unit is driven through this device."""
    if device.prefix == unit.name or device.prefix.startswith(f"{unit.name}/"):
        return True
    names = plan.catalogue.names
    driven = [names[row] for row in (unit.setpoint, unit.run, unit.power) if row != NO_ROW]
    return any(name.startswith(f"{device.prefix}/") for name in driven) if device.prefix else False


def _connection(devices: list[SiteDevice]) -> tuple[list[SiteDevice], list[SiteDevice]]:
    """(devices at the grid connection, all others): one meter, what lies below its name, and PMUs."""
    meters = [device for device in devices if device.sort is Sort.METER]
    # Named so before others, and near the top of the names before what is below a place.
    meters.sort(key=lambda device: (not device.main, device.prefix.count("/")))
    if len(meters) > 1 and meters[0].prefix.count("/") == meters[1].prefix.count("/") and meters[1].main:
        chosen = None  # several places, each with a connection of its own: the drawing shows what they add up to
    else:
        chosen = meters[0] if meters else None
    head: list[SiteDevice] = [] if chosen is None else [chosen]
    if chosen is not None or not meters:
        head += [device for device in devices if device.sort is Sort.PMU]
    return head, [device for device in devices if device not in head]


def _free(devices: list[SiteDevice]) -> list[Feeder]:
    """Feeders of devices that no unit of the control owns: one for each that has a power, others beside their kin."""
    feeders: list[Feeder] = []
    powered = [device for device in devices if device.sort in (*_FEEDERS, Sort.METER)]
    for device in powered:
        kin = [other for other in powered if _place(other) == _place(device) and other.sort is not Sort.METER]
        alone = len(kin) <= 1 and device.sort is not Sort.METER
        feeders.append(Feeder(_place(device) if alone else device.prefix or device.name, device.sort, [device]))
    for device in devices:
        if device in powered:
            continue
        near = next((each for each in feeders if _place(each.devices[0]) == _place(device)), None)
        if near is not None:
            near.devices.append(device)
        elif device.sort is Sort.BMS:
            feeders.append(Feeder(device.prefix or device.name, Sort.BATTERY, [device]))
    return feeders


def _place(device: SiteDevice) -> str:
    """The folder that holds a device's folder: ``bess1`` of ``bess1/pcs``; its own where there is none above."""
    return device.prefix.rpartition("/")[0] or device.prefix or device.name


def _complete(feeder: Feeder) -> None:
    """What the control plan does not say comes from the devices."""
    for name in ("power", "soc", "setpoint", "running"):
        if getattr(feeder, name) is None:
            found = (getattr(device, name) for device in feeder.devices)
            setattr(feeder, name, next((row for row in found if row is not None), None))
    if feeder.sort is Sort.CONVERTER:
        named = tokens(feeder.name)
        sorts = [device.sort for device in feeder.devices if device.sort in (Sort.SOLAR, Sort.WIND, Sort.GENERATOR)]
        if sorts:
            feeder.sort = sorts[0]
        elif feeder.soc is not None or named & {"bess", "ess", "battery"}:
            feeder.sort = Sort.BATTERY
