"""A frequency trace through controller, arbitration and a plant: expected against delivered energy.

The trace is a stated model, as none of the captures holds an hour of a grid: Ornstein-Uhlenbeck about 49.985 Hz with a
standard deviation of 50 mHz and a time constant of 60 s; every ten minutes a fall of 0.3 Hz in 3 s that recovers with a
time constant of 30 s.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gateway.control.arbitration import UnitLimits, UnitState, arbitrate
from gateway.control.controller import PriorityClass, Request
from gateway.control.evidence.analysis import analyse
from gateway.control.evidence.excursion import Excursion, Sample, as_samples
from tests.kit.controlkit import WALL_NS, image, view
from tests.unit.control.test_controllers import GOOD, PMU, POWER, droop

CYCLE_S = 0.02
MINUTES = 11
LIMITS = UnitLimits(low_kw=-1000, high_kw=1000, ramp_kw_per_s=500)


def trace(minutes: int) -> NDArray[np.float64]:
    random = np.random.default_rng(11)
    count = round(minutes * 60 / CYCLE_S)
    noise = np.zeros(count)
    keep = math.exp(-CYCLE_S / 60)
    steps = 0.05 * math.sqrt(1 - keep * keep) * random.standard_normal(count)
    for at in range(1, count):
        noise[at] = noise[at - 1] * keep + steps[at]
    since = np.arange(count) * CYCLE_S % 600 - 300
    fall = np.where(since < 0, 0, np.where(since < 3, since / 3, np.exp(-(since - 3) / 30)))
    return 49.985 + noise - 0.3 * fall


def test_eleven_minutes_of_a_grid_are_delivered_as_expected_within_one_percent() -> None:
    controller = droop()
    state, power_kw = UnitState(), 0.0
    samples: list[Sample] = []
    for cycle, frequency in enumerate(trace(MINUTES).tolist()):
        now_s = cycle * CYCLE_S
        values = GOOD | {PMU: frequency, POWER: power_kw}
        result = controller.step(image(values, now_s), [view(state.base_kw, state.base_kw)])
        remote = Request(unit=0, priority=PriorityClass.REMOTE, source="sldc", target_kw=100.0)
        decision = arbitrate(LIMITS, state, [*result.requests, remote], power_kw, False, CYCLE_S)
        state = decision.state
        target = decision.target_kw or 0.0
        # A PCS with a lag of 60 ms behind its set-point.
        power_kw += (target - power_kw) * (1 - math.exp(-CYCLE_S / 0.06))
        expected = 100.0 + controller.plan.response.curve(frequency) * 10
        samples.append((WALL_NS + round(now_s * 1e9), frequency, 100.0, expected, target, power_kw))
    taken = as_samples(samples[500:])  # the first ten seconds are the ramp to the set-point
    found = analyse(Excursion("bess1", taken), controller.plan.grounds)
    gross = np.abs(taken["expected_kw"] - 100.0).sum() * CYCLE_S / 3600
    assert gross > 1.5
    assert abs(found.delivered_kwh - found.expected_kwh) < 0.01 * gross
    error = np.abs(taken["measured_kw"] - taken["expected_kw"]).sum() * CYCLE_S / 3600
    assert error < 0.03 * gross, "moment by moment too, but for the plant's lag"
