"""Blocks of 15 minutes, the schedule, deviation, AGC."""

from __future__ import annotations

import datetime as dt
import math
from zoneinfo import ZoneInfo

import pytest

from gateway.control.agc import AgcRequest, AgcSettings, AgcSignal, follow
from gateway.control.schedule import BlockMeter, BlockName, Schedule, block_at

KOLKATA = ZoneInfo("Asia/Kolkata")
DAY = dt.date(2026, 11, 25)


def ns(hour: int, minute: int, second: float = 0.0, day: int = 25) -> int:
    local = dt.datetime(2026, 11, day, hour, minute, tzinfo=KOLKATA)
    return int((local.timestamp() + second) * 1e9)


def test_blocks_are_counted_on_the_site_clock() -> None:
    assert block_at(ns(0, 0), KOLKATA) == (BlockName(DAY, 0), 0.0)
    assert block_at(ns(14, 29, 59.5), KOLKATA) == (BlockName(DAY, 57), 899.5)
    assert block_at(ns(23, 59), KOLKATA)[0].number == 96


def test_a_day_of_its_own_goes_before_every_day() -> None:
    other = tuple(float(i) for i in range(96))
    schedule = Schedule((100.0,) * 95 + (math.nan,), {dt.date(2026, 11, 26): other})
    assert schedule.kw(BlockName(DAY, 3)) == 100
    assert schedule.kw(BlockName(DAY, 95)) is None
    assert schedule.kw(BlockName(dt.date(2026, 11, 26), 3)) == 3


def test_energy_against_the_schedule_of_one_block() -> None:
    meter = BlockMeter(KOLKATA)
    ended = [meter.step(ns(10, 0, second), 380.0, 400.0) for second in range(0, 901)]
    assert ended.index(True) == 900
    assert meter.last is not None
    assert meter.last.block == BlockName(DAY, 40)
    assert meter.last.scheduled_kwh == pytest.approx(100)
    assert meter.last.actual_kwh == pytest.approx(95)
    assert meter.last.deviation_kwh == pytest.approx(-5)
    assert meter.last.deviation_percent == pytest.approx(-5)
    assert meter.last.measured_s == pytest.approx(900)


def test_time_without_a_measurement_is_told() -> None:
    meter = BlockMeter(KOLKATA)
    for second in range(0, 901):
        meter.step(ns(10, 0, second), 400.0 if second <= 450 else None, 400.0)
    assert meter.last is not None
    assert meter.last.measured_s == pytest.approx(450)
    assert meter.last.actual_kwh == pytest.approx(50)


def test_a_clock_set_back_begins_a_block_anew_and_adds_no_negative_energy() -> None:
    meter = BlockMeter(KOLKATA)
    meter.step(ns(10, 5), 100.0, 100.0)
    meter.step(ns(10, 6), 100.0, 100.0)
    assert not meter.step(ns(9, 59), 100.0, 100.0)
    assert meter.present is not None
    assert (meter.present.block.index, meter.present.actual_kwh) == (39, 0.0)


def test_nothing_scheduled_makes_no_percent() -> None:
    meter = BlockMeter(KOLKATA)
    for second in range(0, 901, 100):
        meter.step(ns(10, 0, second), 40.0, None)
    assert meter.last is not None
    assert meter.last.deviation_kwh == pytest.approx(10)
    assert math.isnan(meter.last.deviation_percent)


@pytest.mark.parametrize(
    ("signal", "request_"),
    [
        (AgcSignal(True, 250.0, 1.0), AgcRequest(250.0)),
        (AgcSignal(True, 900.0, 1.0), AgcRequest(500.0)),
        (AgcSignal(True, -900.0, 12.0), AgcRequest(-500.0)),
        (AgcSignal(True, 250.0, 12.1), AgcRequest(None, lost=True)),
        (AgcSignal(True, None, 0.0), AgcRequest(None, lost=True)),
        (AgcSignal(False, 250.0, 1.0), AgcRequest(None)),
        (AgcSignal(False, None, 99.0), AgcRequest(None)),
    ],
)
def test_agc_is_followed_while_enabled_and_fresh(signal: AgcSignal, request_: AgcRequest) -> None:
    assert follow(AgcSettings(low_kw=-500, high_kw=500), signal) == request_
