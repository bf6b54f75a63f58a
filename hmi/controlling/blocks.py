"""The day of a schedule in 96 blocks: what is scheduled, and what was delivered, from the history if there is one."""

from __future__ import annotations

import datetime as dt
import math
from zoneinfo import ZoneInfo

from gateway.control.schedule import BLOCK_S, BLOCKS, BlockName, block_at
from gateway.control.targets.schedule import SchedulePlan
from gateway.feed.mirror import Mirror
from gateway.history.reader import HistoryReader
from gateway.history.sqlitefile import DamagedHistory
from gateway.points.quality import UNUSABLE
from hmi.endpoint import Answer

_BLOCK_NS = BLOCK_S * 10**9


class DayOfBlocks(Answer):
    """kW per block, 96 of each; null: not scheduled, or not measured. `block`: the present one, 1 to 96."""

    name: str
    day: str
    block: int
    scheduled_kw: list[float | None]
    actual_kw: list[float | None]
    recorded: bool
    """Whether what was delivered comes from the history; without one it is not known."""


def scheduled(plan: SchedulePlan, mirror: Mirror, wall_ns: int) -> tuple[BlockName, list[float | None]]:
    """The present block, and what is scheduled in each of this day."""
    now, _ = block_at(wall_ns, ZoneInfo(plan.zone))
    if plan.blocks:
        rows = list(plan.blocks)
        known = (mirror.quality[rows] & int(UNUSABLE)) == 0
        values = zip(mirror.value[rows].tolist(), known.tolist(), strict=True)
        return now, [value if fit and math.isfinite(value) else None for value, fit in values]
    if plan.schedule is None:
        return now, [None] * BLOCKS
    return now, [plan.schedule.kw(BlockName(now.day, index)) for index in range(BLOCKS)]


def actual(reader: HistoryReader, name: str, plan: SchedulePlan, wall_ns: int) -> list[float | None]:
    """Mean kW of each block of this day so far. For the thread that reads files."""
    zone = ZoneInfo(plan.zone)
    now, _ = block_at(wall_ns, zone)
    start = dt.datetime.combine(now.day, dt.time(), zone)
    start_ns = int(start.timestamp()) * 10**9
    count = min(BLOCKS, now.index + 1)
    end_ns = min(start_ns + count * _BLOCK_NS, wall_ns)
    whole = end_ns - start_ns - (count - 1) * _BLOCK_NS
    if end_ns <= start_ns:
        return [None] * BLOCKS
    try:
        means = _means(reader, name, start_ns, count - 1)
        means += _means(reader, name, start_ns + (count - 1) * _BLOCK_NS, 1, whole)
    except (DamagedHistory, ValueError, OSError):
        return [None] * BLOCKS
    return [*means, *[None] * (BLOCKS - len(means))]


def _means(
    reader: HistoryReader, name: str, start_ns: int, count: int, length_ns: int = _BLOCK_NS
) -> list[float | None]:
    if count < 1 or length_ns < 1:
        return []
    found = reader.buckets(name, start_ns, start_ns + count * length_ns, count).mean.tolist()
    return [value if math.isfinite(value) else None for value in found]
