"""A unit that is left alone while nothing changes decides and writes what one does that is looked at in every cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.control.controller import PriorityClass, Request
from gateway.control.image import Image, ImagePlan
from gateway.control.unit import Fallback, Unit
from gateway.control.unitcycle import UnitCycle
from gateway.control.write import ControlWrite
from gateway.points.change import changes
from gateway.points.quality import Quality

SETPOINT, RUN, RUNNING, POWER, BEAT, SOC = range(6)
UNIT = Unit(
    name="bess1",
    setpoint=SETPOINT,
    run=RUN,
    running=RUNNING,
    power=POWER,
    heartbeat=BEAT,
    soc=SOC,
    low_kw=-1000.0,
    high_kw=1000.0,
    rated_kw=1000.0,
    ramp_kw_per_s=200.0,
    soc_limits=(20.0, 95.0),
    soc_hold_s=2.0,
    keep_alive_s=4.0,
    valid_s=5.0,
    operator_valid_s=3.0,
    fallback=Fallback.KW,
    fallback_kw=50.0,
)
STOP = Request(unit=0, priority=PriorityClass.SAFETY, source="estop", stop=True)
HALF = Request(unit=0, priority=PriorityClass.INTERLOCK, source="hot", low_kw=-500.0, high_kw=500.0)
AWAY = Request(unit=0, priority=PriorityClass.INTERLOCK, source="bms", target_kw=0.0)
INTERLOCKS: tuple[list[Request], ...] = ([], [STOP], [HALF], [AWAY], [HALF, AWAY])


def droop(add_kw: float) -> list[Request]:
    return [Request(unit=0, priority=PriorityClass.RESPONSE, source="droop", add_kw=add_kw, ramp_kw_per_s=900.0)]


@dataclass
class Plant:
    """Two cycles beside each other: one as it is, one that is made to look again every time."""

    value: NDArray[np.float64] = field(default_factory=lambda: np.array([100.0, 1, 1, 100, 0, 50]))
    quality: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(6, np.uint32))

    def __post_init__(self) -> None:
        self.plan = ImagePlan(range(6))
        self.now_ns = 1_000_000_000
        self.image: Image = self.plan.take(self.value, self.quality, np.zeros(6, np.int64), self.now_ns, self.now_ns)
        self.quick, self.thorough = UnitCycle(0, UNIT), UnitCycle(0, UNIT)
        self.interlocks, self.controllers, self.local, self.quiet = 0, list[Request](), False, False
        self.obeys = True

    def shows(self, row: int, value: float, quality: Quality | int = 0) -> None:
        rows = np.array([row], np.uint32)
        self.plan.note(changes(rows, np.array([value]), np.array([int(quality)], np.uint32), np.zeros(1, np.int64)))

    def cycle(self, dt_ms: int) -> None:
        self.now_ns += dt_ms * 1_000_000
        self.plan.follow(self.image, self.now_ns, self.now_ns)
        touched = bool(self.image.changed)
        self.thorough.look_again()
        dt_s = dt_ms / 1e3
        both: list[list[ControlWrite]] = [[], []]
        for unit, writes in zip((self.quick, self.thorough), both, strict=True):
            asked = list(self.controllers)  # made anew in every cycle, as controllers do
            forced = INTERLOCKS[self.interlocks]
            unit.step(self.image, forced, asked, self.local, dt_s, touched, self.quiet, writes)
        assert self.quick.decision == self.thorough.decision
        assert both[0] == both[1]
        for write in both[0]:
            if self.obeys and write.row == SETPOINT:
                self.shows(SETPOINT, write.value)

    def ask(self, kw: float, person: bool) -> None:
        for unit in (self.quick, self.thorough):
            unit.standing.ask(kw, "sldc/main", person, self.now_ns)

    def fails(self, row: int) -> None:
        for unit in (self.quick, self.thorough):
            unit.failed(row, self.now_ns)


kws = st.sampled_from([-1000.0, -400.0, 0.0, 30.0, 700.0, 1000.0])
ACTIONS = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, 90)),
    st.tuples(st.just("ask"), kws, st.booleans()),
    st.tuples(st.just("release")),
    st.tuples(st.just("shows"), st.sampled_from([SETPOINT, POWER, RUNNING]), kws),
    st.tuples(st.just("soc"), st.sampled_from([19.0, 20.2, 50.0, 94.8, 96.0, None])),
    st.tuples(st.just("interlocks"), st.integers(0, len(INTERLOCKS) - 1)),
    st.tuples(st.just("droop"), st.sampled_from([None, 0.0, 80.0, -300.0])),
    st.tuples(st.just("local"), st.booleans()),
    st.tuples(st.just("quiet"), st.booleans()),
    st.tuples(st.just("obeys"), st.booleans()),
    st.tuples(st.just("fails"), st.sampled_from([SETPOINT, RUN])),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ACTIONS, min_size=3, max_size=25))
def test_leaving_a_unit_alone_changes_nothing(story: list[tuple[Any, ...]]) -> None:
    plant = Plant()
    for what, *facts in story:
        match what:
            case "wait":
                for _ in range(facts[0]):
                    plant.cycle(40)
            case "ask":
                plant.ask(*facts)
            case "release":
                plant.quick.standing.release()
                plant.thorough.standing.release()
            case "shows":
                plant.shows(*facts)
            case "soc":
                (soc,) = facts
                plant.shows(SOC, 50.0 if soc is None else soc, Quality.COMM_LOST if soc is None else 0)
            case "droop":
                plant.controllers = [] if facts[0] is None else droop(facts[0])
            case "fails":
                plant.fails(*facts)
            case name:
                setattr(plant, name, facts[0])
        plant.cycle(20)
    for _ in range(120):
        plant.cycle(40)
