"""Interlocks as tables of cycles: inputs in, what is in force out."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass

import numpy as np
import pytest

from gateway.control.image import Image, ImagePlan
from gateway.control.interlock.condition import Vote, compile_condition
from gateway.control.interlock.effect import Effect, EffectError, EffectKind, parse_effects
from gateway.control.interlock.engine import InterlockEngine, Refused
from gateway.control.interlock.plan import Interlock, InterlockRows, OnBad, Reset
from gateway.control.interlock.state import Bypass
from gateway.points.quality import Quality

ROWS = {"u/temp": 0, "u/estop": 1, "u/a": 2, "u/b": 3, "u/c": 4}
NO_POINTS = InterlockRows(active=0, latched=0, tripped=0, bypassed=0, first_out=0, reset=0)
S = 1_000_000_000


def interlock(
    name: str, *when: str, vote: str = "1oo1", effect: EffectKind = EffectKind.STOP, **more: object
) -> Interlock:
    return Interlock(
        name=name,
        conditions=[compile_condition(text, ROWS) for text in when],
        vote=Vote(int(vote[0]), int(vote[3])),
        effects=[Effect(effect, unit=0)],
        rows=NO_POINTS,
        **more,  # type: ignore[arg-type]
    )


LATCHING = {"latch": True, "reset": Reset.HMI, "on_bad": OnBad.TRIP}
OVERTEMP = interlock("overtemp", "u/temp > 60", delay_ns=S // 2, **LATCHING)
ESTOP = interlock("estop", "u/estop == 1", latch=True, reset=Reset.FIELD_HMI, on_bad=OnBad.TRIP)


@dataclass
class Bench:
    """An engine with five inputs; `look` runs one cycle at a time in seconds."""

    engine: InterlockEngine

    def __post_init__(self) -> None:
        self.value = np.zeros(5)
        self.quality = np.zeros(5, np.uint32)
        self.plan = ImagePlan(range(5))
        self.before: Image | None = None

    def image(self, at_s: float) -> Image:
        """After the first only what differs counts as changed, as in a gateway."""
        now_ns, times = int(at_s * S), np.zeros(5, np.int64)
        if self.before is None:
            self.before = self.plan.take(self.value, self.quality, times, now_ns, now_ns)
        else:
            self.plan.follow(self.before, now_ns, now_ns)
            self.before = self.plan.retake(self.before, self.value, self.quality, times)
        return self.before

    def look(self, at_s: float, **points: float | Quality) -> bool:
        for name, value in points.items():
            row = ROWS[f"u/{name}"]
            if isinstance(value, Quality):
                self.quality[row] = int(value)
            else:
                self.value[row], self.quality[row] = value, 0
        self.engine.step(self.image(at_s))
        return self.engine.tripped(0)


def bench(*rows: Interlock, grace_s: float = 0.0) -> Bench:
    return Bench(InterlockEngine(list(rows), [1000.0], 0, int(grace_s * S)))


def test_a_cause_counts_once_it_has_held_for_its_delay() -> None:
    plant = bench(OVERTEMP)
    assert not plant.look(0.0, temp=61)
    assert not plant.look(0.49)
    assert not plant.look(0.495, temp=59)  # gone in between: the delay begins anew
    assert not plant.look(0.5, temp=61)
    assert not plant.look(0.99)
    assert plant.look(1.0)


def test_a_latch_stays_when_the_cause_has_gone_and_a_person_ends_it() -> None:
    plant = bench(OVERTEMP)
    plant.look(0, temp=61)
    assert plant.look(1)
    with pytest.raises(Refused, match="cause is still there"):
        plant.engine.reset("overtemp")
    assert plant.look(2, temp=20)
    plant.engine.reset("overtemp")
    assert not plant.look(3)
    with pytest.raises(Refused, match="not latched"):
        plant.engine.reset("overtemp")


def test_the_emergency_stop_wants_field_acknowledgement_and_reset_in_this_order() -> None:
    plant = bench(ESTOP)
    assert plant.look(0, estop=1)
    plant.engine.acknowledge("estop")
    with pytest.raises(Refused, match="cause is still there"):
        plant.engine.reset("estop")
    assert plant.look(1, estop=0)
    plant.engine.reset("estop")
    assert not plant.look(2)
    plant.look(3, estop=1)
    plant.look(4, estop=0)
    with pytest.raises(Refused, match="acknowledge it first"):
        plant.engine.reset("estop")


@pytest.mark.parametrize("bad", [Quality.INVALID, Quality.NOT_TOPICAL, Quality.COMM_LOST, Quality.REFERENCE_ERROR])
@pytest.mark.parametrize(("on_bad", "trips"), [(OnBad.TRIP, True), (OnBad.QUALITY_OK, False), (OnBad.HOLD, False)])
def test_a_bad_input_counts_as_the_row_says(bad: Quality, on_bad: OnBad, trips: bool) -> None:
    plant = bench(interlock("row", "u/temp > 60", latch=True, reset=Reset.HMI, on_bad=on_bad))
    plant.look(0, temp=20)
    assert plant.look(1, temp=bad) is trips


def test_a_derating_stays_while_its_input_is_bad() -> None:
    plant = bench(interlock("derate", "u/temp > 55", on_bad=OnBad.HOLD))
    assert plant.look(0, temp=56)
    assert plant.look(1, temp=Quality.NOT_TOPICAL)
    assert not plant.look(2, temp=20)


def test_the_quality_itself_is_a_condition() -> None:
    plant = bench(interlock("lost", "quality(u/temp) != good", delay_ns=3 * S))
    assert not plant.look(0, temp=20)
    assert not plant.look(1, temp=Quality.COMM_LOST)
    assert not plant.look(3.9)
    assert plant.look(4.0)
    assert not plant.look(5, temp=20)


def test_inputs_that_were_never_reported_wait_for_the_time_of_grace() -> None:
    plant = bench(ESTOP, grace_s=10)
    assert not plant.look(1, estop=Quality.NEVER_REPORTED)
    assert plant.engine.waiting(0) == "estop"
    assert plant.look(10)
    assert plant.engine.waiting(0) == ""


ANSWERS = (True, False, None)


@pytest.mark.parametrize("answers", list(itertools.product(ANSWERS, repeat=3)))
def test_two_out_of_three_with_bad_inputs(answers: tuple[bool | None, ...]) -> None:
    """None bad: two of three. One bad: one of two. Two bad: the one that is left. All bad: not known."""
    true, bad = answers.count(True), answers.count(None)
    expected = {0: true >= 2, 1: true >= 1, 2: true >= 1, 3: None}[bad]
    assert Vote(2, 3).count(answers) is expected


@pytest.mark.parametrize("need", [1, 2, 3, 4])
def test_a_lost_input_makes_no_vote_less_likely(need: int) -> None:
    for answers in itertools.product(ANSWERS, repeat=4):
        whole = Vote(need, 4).count(answers)
        for i, answer in enumerate(answers):
            lost = Vote(need, 4).count([*answers[:i], None, *answers[i + 1 :]])
            if whole and answer is not True:
                assert lost


def test_cabinets_by_two_out_of_three() -> None:
    plant = bench(interlock("hot", "u/a > 70", "u/b > 70", "u/c > 70", vote="2oo3", **LATCHING))
    assert not plant.look(0, a=71, b=20, c=20)
    assert not plant.look(1, a=20, b=Quality.INVALID)
    assert plant.look(2, a=71)


def test_the_first_cause_of_a_trip_stays_marked() -> None:
    plant = bench(OVERTEMP, ESTOP)
    plant.look(0, temp=61)
    plant.look(1)
    plant.look(2, estop=1)
    assert plant.engine.first_out == [0]
    plant.look(3, temp=20, estop=0)
    plant.engine.reset("overtemp")
    plant.look(4)
    assert plant.engine.first_out == [0]  # the unit is still tripped by the other
    plant.engine.acknowledge("estop")
    plant.engine.reset("estop")
    plant.look(5)
    assert plant.engine.first_out == [None]


def test_a_bypass_has_an_owner_and_ends_by_itself() -> None:
    plant = bench(OVERTEMP)
    plant.engine.bypass("overtemp", Bypass(owner="asha", reason="sensor changed", until_ns=10 * S))
    plant.look(0, temp=61)
    assert not plant.look(9)
    assert plant.look(10)


def test_what_may_not_be_bypassed_is_not() -> None:
    plant = bench(interlock("estop", "u/estop == 1", may_bypass=False, **LATCHING))
    with pytest.raises(Refused, match="may not be bypassed"):
        plant.engine.bypass("estop", Bypass(owner="asha", reason="x", until_ns=S))


def test_a_start_needs_its_permissive() -> None:
    plant = bench(
        interlock("ready", "u/a == 1", effect=EffectKind.PERMIT, on_bad=OnBad.QUALITY_OK, message="not ready")
    )
    plant.look(0, a=0)
    assert "no start without ready" in plant.engine.start_refusal(0)
    plant.look(1, a=1)
    assert plant.engine.start_refusal(0) == ""
    plant.look(2, a=Quality.COMM_LOST)
    assert "no start without ready" in plant.engine.start_refusal(0)
    assert not plant.engine.tripped(0)


def test_latches_bypasses_and_first_out_survive_a_restart() -> None:
    before = bench(OVERTEMP, ESTOP)
    before.look(0, temp=61, estop=1)
    before.look(1)
    before.engine.bypass("overtemp", Bypass(owner="asha", reason="test", until_ns=1000 * S))
    kept = json.loads(json.dumps(before.engine.kept()))
    after = bench(OVERTEMP, ESTOP, grace_s=10)
    after.engine.restore(kept)
    assert after.look(2, temp=Quality.NEVER_REPORTED, estop=Quality.NEVER_REPORTED)
    assert [state.latched for state in after.engine.states] == [True, True]
    assert after.engine.first_out == [1]
    assert after.engine.states[0].bypass == Bypass(owner="asha", reason="test", until_ns=1000 * S)
    with pytest.raises(Refused, match="not known yet"):
        after.engine.reset("estop")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stop", "expected stop UNIT"),
        ("limit bess1 150%", "0 to 100 %"),
        ("ramp bess1", "expected ramp UNIT KW"),
        ("explode bess1", "is no effect"),
    ],
)
def test_wrong_effects_are_told_with_their_form(text: str, words: str) -> None:
    with pytest.raises(EffectError, match=words):
        parse_effects(text)
