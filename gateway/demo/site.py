"""A simulated site: the plant and the wandering rest behind the field protocols' own simulators."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, cast, runtime_checkable

import numpy as np

from gateway.contracts import DriverPlan, FieldSimulator, nearest
from gateway.demo.orders import Order, OrderError
from gateway.demo.plant import Plant
from gateway.demo.solar import PREFIX as SOLAR
from gateway.demo.wander import WanderingPoints
from gateway.points import NO_ROW, PointCatalogue, Rows, Values

WANDER_EVERY_S: Final = 1.0

Build = Callable[[str, DriverPlan], FieldSimulator]
"""Makes the simulator of a driver, by the driver's name, for a plan."""


class SimulatedPlan(Protocol):
    """What a simulation needs of a `gateway.site.plan.SitePlan`."""

    @property
    def catalogue(self) -> PointCatalogue: ...
    @property
    def drivers(self) -> Sequence[tuple[str, DriverPlan]]: ...


@runtime_checkable
class Attentive(Protocol):
    """A simulator whose devices hear signs of life of the gateway, such as heartbeat frames."""

    def alive(self) -> frozenset[str]:
        """Names of the devices that heard one since the last call."""
        ...


@dataclass(slots=True)
class Station:
    """The devices of one driver plan: one simulator, on the network while `simulator` is not None."""

    driver: str
    plan: DriverPlan
    plant_rows: Rows
    wander_rows: Rows
    simulator: FieldSimulator | None = None
    frozen: set[str] = field(default_factory=set)


class SimulatedSite:
    """All devices of a site, moved by `tick`.

    Points that the `Plant` knows by name follow it; every other point wanders within its range, and a command to
    one of those is taken over by its feedback point. `order` does what a person at the plant would.
    """

    def __init__(self, site: SimulatedPlan, build: Build, *, seed: int = 1) -> None:
        self.plant = Plant(seed, solar=any(name.startswith(SOLAR) for name in site.catalogue.names))
        self.catalogue = site.catalogue
        self._build = build
        self._time_s = 0.0
        self._wander_due_s = 0.0
        self._held: dict[int, float] = {}
        self._shown: Values = np.zeros(len(site.catalogue))
        self._plant_names, self._plant_rows = _known(self.plant.values(), site.catalogue)
        self._prefixes = _prefixes(site.catalogue, self._plant_rows)
        self._wander = WanderingPoints(site.catalogue, self._others(site), seed)
        self._shown[self._wander.rows] = self._wander.at(0.0)
        self.stations = [self._station(driver, plan) for driver, plan in site.drivers]

    @property
    def devices(self) -> list[str]:
        """Names of all simulated devices."""
        return [device for station in self.stations for device in station.plan.devices]

    async def start(self) -> None:
        """Put every device on the network. Raises `OSError` when an address is taken."""
        self._refresh()
        for station in self.stations:
            await self._plug(station)

    async def stop(self) -> None:
        """Take every device off the network."""
        for station in self.stations:
            await self._unplug(station)

    def tick(self, dt_s: float) -> None:
        """Obey what was written, move on by `dt_s`, show the new values."""
        for station in self.stations:
            if station.simulator is not None:
                self._obey(station.simulator.written())
                self._attend(station.simulator)
        self.plant.step(dt_s)
        self._time_s += dt_s
        wander = self._time_s >= self._wander_due_s
        if wander:
            self._wander_due_s = self._time_s + WANDER_EVERY_S
        self._refresh(wander=wander)
        for station in self.stations:
            self._show(station, station.plant_rows)
            if wander:
                self._show(station, station.wander_rows)

    async def order(self, order: Order) -> None:
        """Carry out an order. Raises `OrderError` when it names a device or point that is not there."""
        if order.verb in _NETWORK:
            await _NETWORK[order.verb](self, self._station_of(str(order.arguments[0])))
        else:
            _ORDERS[order.verb](self, *order.arguments)

    # -- values ----------------------------------------------------------------------------------------------------

    def _others(self, site: SimulatedPlan) -> Rows:
        rows = [plan.rows for _, plan in site.drivers]
        every = np.unique(np.concatenate(rows)) if rows else np.empty(0, np.uint32)
        return np.setdiff1d(every, self._plant_rows).astype(np.uint32)

    def _station(self, driver: str, plan: DriverPlan) -> Station:
        measured = self._wander.rows[self._wander.measured]
        return Station(
            driver,
            plan,
            np.intersect1d(plan.rows, self._plant_rows).astype(np.uint32),
            np.intersect1d(plan.rows, measured).astype(np.uint32),
        )

    def _refresh(self, *, wander: bool = False) -> None:
        values = self.plant.values()
        self._shown[self._plant_rows] = [values[name] for name in self._plant_names]
        if wander:
            measured = self._wander.measured
            self._shown[self._wander.rows[measured]] = self._wander.at(self._time_s)[measured]
        if self._held:
            self._shown[list(self._held)] = list(self._held.values())

    def _show(self, station: Station, rows: Rows) -> None:
        if station.simulator is None or not len(rows):
            return
        if station.frozen:
            rows = rows[~np.isin(self.catalogue.device[rows], self._indices(station.frozen))]
        station.simulator.set(rows, self._shown[rows])

    def _indices(self, devices: Iterable[str]) -> list[int]:
        known = self.catalogue.devices
        return [known.index(device) for device in devices if device in known]

    def _obey(self, written: list[tuple[int, float]]) -> None:
        for row, value in written:
            name = self.catalogue.names[row]
            if row in self._plant_rows:
                self.plant.command(name, value)
            else:
                self._shown[row] = value
                feedback = int(self.catalogue.feedback[row])
                if feedback != NO_ROW:
                    self._held[feedback] = value

    def _attend(self, simulator: FieldSimulator) -> None:
        if isinstance(simulator, Attentive):
            for device in simulator.alive():
                self.plant.alive(self._prefixes.get(device, ""))

    # -- network ---------------------------------------------------------------------------------------------------

    async def _plug(self, station: Station) -> None:
        if station.simulator is not None:
            return
        simulator = self._build(station.driver, station.plan)
        simulator.set(station.plan.rows, self._shown[station.plan.rows])
        await simulator.start()
        station.simulator = simulator

    async def _unplug(self, station: Station) -> None:
        simulator, station.simulator = station.simulator, None
        if simulator is not None:
            await simulator.stop()

    def _station_of(self, device: str) -> Station:
        for station in self.stations:
            if device in station.plan.devices:
                return station
        raise OrderError(f"no device {device!r}{nearest(device, self.devices)}; known are: {', '.join(self.devices)}")

    # -- orders ----------------------------------------------------------------------------------------------------

    def _freeze(self, device: str) -> None:
        self._station_of(device).frozen.add(device)

    def _thaw(self, device: str) -> None:
        self._station_of(device).frozen.discard(device)

    def _frequency(self, *moved: float | None) -> None:
        """By so much for so long; or to a frequency that then stands; or free again."""
        if len(moved) == 1:
            self.plant.grid.hold(moved[0])
        else:
            self.plant.inject_frequency_event(*cast(tuple[float, float], moved))

    def _set(self, point: str, value: float) -> None:
        self._held[self._row(point)] = value

    def _unset(self, point: str) -> None:
        with contextlib.suppress(KeyError):
            del self._held[self._row(point)]

    def _row(self, point: str) -> int:
        row = self.catalogue.rows.get(point)
        if row is None:
            raise OrderError(f"no point {point!r}{nearest(point, self.catalogue.names)}")
        return row


def _known(values: Iterable[str], catalogue: PointCatalogue) -> tuple[list[str], Rows]:
    names = [name for name in values if name in catalogue.rows]
    return names, np.array([catalogue.rows[name] for name in names], np.uint32)


def _prefixes(catalogue: PointCatalogue, rows: Rows) -> dict[str, str]:
    """Of devices that the plant knows: the folder of their first point, which the names of all of them begin with."""
    return {
        catalogue.devices[int(catalogue.device[row])]: catalogue.names[row].rpartition("/")[0] + "/"
        for row in reversed(rows.tolist())
    }


_NETWORK: Final = {"unplug": SimulatedSite._unplug, "plug": SimulatedSite._plug}

_ORDERS: Final[dict[str, Callable[..., None]]] = {
    "frequency": SimulatedSite._frequency,
    "cell_temp": lambda site, celsius: site.plant.cell_temperature(celsius),
    "fault": lambda site, on: site.plant.fault(on),
    "estop": lambda site, on: site.plant.estop(on),
    "local": lambda site, on: site.plant.local(on),
    "freeze": SimulatedSite._freeze,
    "thaw": SimulatedSite._thaw,
    "set": SimulatedSite._set,
    "unset": SimulatedSite._unset,
}
"""Verbs of `gateway.demo.orders.FORMS`: what each does."""
