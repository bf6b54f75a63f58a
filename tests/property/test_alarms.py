"""The engine against a plain model of one alarm at a time, over any story of values, delays and qualities."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.alarms.actions import AlarmRefused
from gateway.alarms.mirror import AlarmMirror
from gateway.alarms.model import Condition
from gateway.contracts.command import Action
from gateway.points import Quality
from tests.kit.alarmkit import BREAKER, DOOR, TEMP, Definition, Story, alarm_catalogue

LIMITS = {Condition.LL: 2.0, Condition.L: 4.0, Condition.H: 8.0, Condition.HH: 10.0}


@dataclass
class Model:
    """One alarm, told and asked in the plainest way."""

    definition: Definition
    holds: bool = False
    active: bool = False
    acknowledged: bool = True
    due_s: float | None = None

    def _condition(self, value: float, bad: bool) -> bool | None:
        one = self.definition
        band = one.deadband if self.holds else 0.0
        if one.condition is Condition.QUALITY:
            return bad
        if bad:
            return None
        if one.condition is Condition.ALARM:
            return value == one.limit
        return value > one.limit - band if one.condition.high else value < one.limit + band

    def told(self, now_s: float, value: float, bad: bool) -> None:
        holds = self._condition(value, bad)
        if holds is None:
            if self.due_s is not None and not self.holds:
                self.holds, self.due_s = True, None
            return
        if holds is self.holds:
            return
        self.holds, self.due_s = holds, None
        if holds is not self.active:
            self.due_s = now_s + (self.definition.on_delay_s if holds else self.definition.off_delay_s)
            self.passed(now_s)

    def passed(self, now_s: float) -> None:
        if self.due_s is not None and self.due_s <= now_s:
            self.due_s = None
            self.active = self.holds
            if self.active:
                self.acknowledged = False

    def acknowledge(self) -> bool:
        could = not self.acknowledged
        self.acknowledged = True
        return could


delay = st.sampled_from([0.0, 0.0, 1.0, 3.0])
limit_alarm = st.builds(
    Definition,
    row=st.just(TEMP),
    condition=st.sampled_from(list(LIMITS)),
    deadband=st.sampled_from([0.0, 1.0, 3.0]),
    on_delay_s=delay,
    off_delay_s=delay,
)
state_alarm = st.builds(
    Definition,
    row=st.sampled_from([DOOR, BREAKER]),
    condition=st.just(Condition.ALARM),
    limit=st.sampled_from([0.0, 1.0]),
    on_delay_s=delay,
    off_delay_s=delay,
)
quality_alarm = st.builds(Definition, row=st.just(TEMP), condition=st.just(Condition.QUALITY), on_delay_s=delay)
definitions = st.lists(
    st.one_of(limit_alarm, state_alarm, quality_alarm), min_size=1, max_size=6, unique_by=lambda d: (d.row, d.condition)
)
quality = st.sampled_from([0, 0, 0, int(Quality.COMM_LOST), int(Quality.SUBSTITUTED), int(Quality.INVALID)])
change = st.one_of(
    st.tuples(st.just(TEMP), st.sampled_from([1.0, 2.0, 3.0, 5.0, 7.0, 8.0, 9.0, 10.0, 11.0]), quality),
    st.tuples(st.just(DOOR), st.sampled_from([0.0, 1.0]), quality),
    st.tuples(st.just(BREAKER), st.sampled_from([0.0, 1.0, 2.0, 3.0]), quality),
)
step = st.tuples(st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.lists(change, max_size=4), st.none() | st.integers(0, 5))


@settings(max_examples=300, deadline=None)
@given(definitions, st.lists(step, max_size=25))
def test_the_engine_does_what_a_plain_model_does(chosen: list[Definition], steps: list) -> None:
    for one in chosen:
        one.limit = LIMITS.get(one.condition, one.limit)
    story = Story(alarm_catalogue(*chosen))
    models = {f"{story.alarms.points.names[one.row]}/{one.condition.word}": Model(one) for one in chosen}
    mirror = AlarmMirror(story.alarms)
    now_s, unfit = 0.0, int(Quality.COMM_LOST | Quality.INVALID)
    for pause_s, batch, acknowledged in steps:
        now_s += pause_s
        story.at(now_s)
        for model in models.values():
            model.passed(now_s)
        if batch:
            story.told(*batch)
        for row, value, flags in batch:
            for model in models.values():
                if model.definition.row == row:
                    model.told(now_s, value, bool(flags & unfit))
        if acknowledged is not None and acknowledged < len(models):
            name = list(models)[acknowledged]
            could = models[name].acknowledge()
            try:
                story.act(Action.ACKNOWLEDGE, name)
                assert could
            except AlarmRefused:
                assert not could
        for name, model in models.items():
            record = story.record(name)
            assert (record.active, record.acknowledged) == (model.active, model.acknowledged), name
    sequence = [record.seq for record in story.events]
    assert sequence == list(range(1, len(sequence) + 1))
    mirror.apply(story.events)
    assert mirror.records == story.engine.records
