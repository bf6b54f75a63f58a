"""The schedule as a controller: the block's power as a target, and what was delivered against it as points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from gateway.control.controller import ControllerBase, ControllerResult, PriorityClass, Request, UnitView
from gateway.control.image import Image
from gateway.control.schedule import BlockMeter, BlockName, Schedule, block_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRows:
    """Table rows of `system/control/NAME/...`."""

    schedule_kw: int
    schedule_block: int
    block_scheduled_kwh: int
    block_actual_kwh: int
    block_deviation_kwh: int
    last_scheduled_kwh: int
    last_actual_kwh: int
    last_deviation_kwh: int
    last_deviation_percent: int
    last_measured_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePlan:
    """Of a unit, or (`unit` -1) of nothing but the account. `blocks`: rows of 96 points in place of the file."""

    unit: int
    schedule: Schedule | None
    blocks: tuple[int, ...]
    zone: str
    power: int
    rows: ScheduleRows

    def build(self) -> ScheduleController:
        return ScheduleController(self)


class Scheduled:
    """The scheduled power now, from the file or from points."""

    def __init__(self, plan: SchedulePlan) -> None:
        self._plan, self._zone = plan, ZoneInfo(plan.zone)
        self._end_ns, self._block = 0, BlockName.FIRST

    def block(self, wall_ns: int) -> BlockName:
        """The block now; looked up anew once a second at most."""
        if not self._end_ns - 1_000_000_000 <= wall_ns < self._end_ns:
            self._block, _ = block_at(wall_ns, self._zone)
            self._end_ns = wall_ns + 1_000_000_000 - wall_ns % 1_000_000_000
        return self._block

    def kw(self, image: Image) -> float | None:
        """None: nothing is scheduled, or what is is not known."""
        block = self.block(image.wall_ns)
        if self._plan.blocks:
            return image.get(self._plan.blocks[block.index])
        return None if self._plan.schedule is None else self._plan.schedule.kw(block)


class ScheduleController(ControllerBase):
    """One schedule."""

    def __init__(self, plan: SchedulePlan) -> None:
        self._plan = plan
        self.scheduled = Scheduled(plan)
        self._meter = BlockMeter(ZoneInfo(plan.zone))

    @property
    def inputs(self) -> Iterable[int]:
        return *self._plan.blocks, self._plan.power

    def step(self, image: Image, units: Sequence[UnitView]) -> ControllerResult:
        kw = self.scheduled.kw(image)
        block = self.scheduled.block(image.wall_ns)
        self._meter.step(image.wall_ns, image.get(self._plan.power), kw, block)
        requests = []
        if kw is not None and self._plan.unit >= 0:
            words = f"schedule, block {block.number}"
            schedule = PriorityClass.SCHEDULE
            requests.append(Request(unit=self._plan.unit, priority=schedule, source=words, target_kw=kw))
        return ControllerResult(requests=requests, points=list(self._points(kw, block)))

    def _points(self, kw: float | None, block: BlockName) -> Iterator[tuple[int, float]]:
        rows, present, last = self._plan.rows, self._meter.present, self._meter.last
        yield rows.schedule_kw, kw or 0.0
        yield rows.schedule_block, float(block.number)
        if present is not None:
            yield rows.block_scheduled_kwh, round(present.scheduled_kwh, 2)
            yield rows.block_actual_kwh, round(present.actual_kwh, 2)
            yield rows.block_deviation_kwh, round(present.deviation_kwh, 2)
        if last is not None:
            yield rows.last_scheduled_kwh, round(last.scheduled_kwh, 3)
            yield rows.last_actual_kwh, round(last.actual_kwh, 3)
            yield rows.last_deviation_kwh, round(last.deviation_kwh, 3)
            yield rows.last_measured_s, round(last.measured_s, 1)
            if not math.isnan(last.deviation_percent):
                yield rows.last_deviation_percent, round(last.deviation_percent, 2)
