"""A simulated site between the plant and the field protocols' simulators."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from gateway.contracts import DriverPlan, FieldSimulator
from gateway.demo.orders import OrderError, parse
from gateway.demo.site import SimulatedSite
from gateway.points import Kind, Point, PointCatalogue, Rows, Values


@dataclass
class Wire:
    """A device of no protocol: what it shows, and what a master has written to it."""

    plan: DriverPlan
    shown: dict[int, float] = field(default_factory=dict)
    pending: list[tuple[int, float]] = field(default_factory=list)
    online: bool = False

    async def start(self) -> None:
        self.online = True

    def set(self, rows: Rows, values: Values) -> None:
        self.shown.update(zip(rows.tolist(), values.tolist(), strict=True))

    def written(self) -> list[tuple[int, float]]:
        taken, self.pending = self.pending, []
        return taken

    async def stop(self) -> None:
        self.online = False


@dataclass
class Plan:
    devices: list[str]
    rows: Rows


@dataclass
class Site:
    catalogue: PointCatalogue
    drivers: list[tuple[str, DriverPlan]]


POINTS = [
    Point(row=0, name="bess1/pcs/active_power", kind=Kind.ANALOG, low=-1200, high=1200, device="pcs1"),
    Point(row=1, name="bess1/pcs/power_setpoint", kind=Kind.SETPOINT, low=-1000, high=1000, device="pcs1"),
    Point(row=2, name="poi/power", kind=Kind.ANALOG, low=-2000, high=2000, device="meter"),
    Point(row=3, name="feeder/load", kind=Kind.ANALOG, low=10, high=50, device="other"),
    Point(row=4, name="feeder/valve", kind=Kind.SETPOINT, low=0, high=1, feedback=3, device="other"),
    Point(row=5, name="feeder/switch", kind=Kind.DOUBLE, device="other"),
    Point(row=6, name="site/calculated", kind=Kind.ANALOG),
]


class Bench:
    """A site of three devices, and the wires that lead to them by device name."""

    def __init__(self) -> None:
        plans = [("a", [0, 1], "pcs1"), ("a", [2], "meter"), ("b", [3, 4, 5], "other")]
        drivers: list[tuple[str, DriverPlan]] = [
            (driver, Plan([device], np.array(rows, np.uint32))) for driver, rows, device in plans
        ]
        self.wires: dict[str, Wire] = {}
        self.site = SimulatedSite(Site(PointCatalogue.of(POINTS), drivers), self.build, seed=1)

    def build(self, driver: str, plan: DriverPlan) -> FieldSimulator:
        wire = Wire(plan)
        self.wires[plan.devices[0]] = wire
        return wire

    def order(self, line: str) -> None:
        order = parse(line)
        assert order is not None
        asyncio.run(self.site.order(order))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.site.tick(0.05)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    asyncio.run(bench.site.start())
    return bench


def test_master_writes_a_setpoint_and_the_meter_moves(bench: Bench) -> None:
    bench.wires["pcs1"].pending.append((1, 700.0))
    bench.run(5.0)
    assert bench.wires["pcs1"].shown[0] == pytest.approx(700.0, abs=1.0)
    assert bench.wires["pcs1"].shown[1] == 700.0
    assert 670.0 < bench.wires["meter"].shown[2] < 690.0


def test_point_that_the_plant_does_not_know_wanders_in_its_range(bench: Bench) -> None:
    seen = []
    for _ in range(100):
        bench.run(2.0)
        seen.append(bench.wires["other"].shown[3])
    assert min(seen) >= 10.0
    assert max(seen) <= 50.0
    assert max(seen) - min(seen) > 1.0
    assert bench.wires["other"].shown[5] == 2.0, "a switch stays closed"


def test_command_to_an_unknown_point_shows_in_its_feedback(bench: Bench) -> None:
    bench.wires["other"].pending.append((4, 0.5))
    bench.run(2.0)
    assert bench.wires["other"].shown[3] == 0.5


def test_frozen_device_stands_still_and_thaws(bench: Bench) -> None:
    bench.run(1.0)
    bench.order("freeze meter")
    before = bench.wires["meter"].shown[2]
    bench.run(3.0)
    assert bench.wires["meter"].shown[2] == before
    bench.order("thaw meter")
    bench.run(1.0)
    assert bench.wires["meter"].shown[2] != before


def test_unplugged_device_is_off_the_network_until_it_is_plugged_in(bench: Bench) -> None:
    wire = bench.wires["meter"]
    bench.order("unplug meter")
    assert not wire.online
    bench.run(1.0)
    bench.order("plug meter")
    assert bench.wires["meter"].online
    assert bench.wires["meter"] is not wire
    assert bench.wires["pcs1"].online


def test_held_value_is_shown_whatever_the_plant_does(bench: Bench) -> None:
    bench.order("set poi/power 123")
    bench.run(1.0)
    assert bench.wires["meter"].shown[2] == 123.0
    bench.order("unset poi/power")
    bench.run(1.0)
    assert bench.wires["meter"].shown[2] != 123.0


def test_estop_at_the_panel_stops_the_plant(bench: Bench) -> None:
    bench.run(3.0)
    bench.order("estop on")
    bench.run(0.1)
    assert bench.wires["pcs1"].shown[0] == 0.0


@pytest.mark.parametrize(
    ("line", "answer"), [("freeze metre", "did you mean meter"), ("set poi/pwer 1", "did you mean poi/power")]
)
def test_order_for_something_that_is_not_there(bench: Bench, line: str, answer: str) -> None:
    with pytest.raises(OrderError, match=answer):
        bench.order(line)
