"""What a station remembers beyond its process: written, read again, and what is no memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from protocols.iec104.counters import Counters, Freeze
from protocols.iec104.memory import recall, remember
from protocols.iec104.parameters import Loaded, ParameterKind
from tests.conformance.iec104.conversation import At, Conversation, Kind

LINES = [
    At(ioa=1, type="M_ME_TF_1", kind=Kind.ANALOG, cyclic_s=1.0),
    At(ioa=2, type="M_IT_TB_1", kind=Kind.COUNTER),
    At(ioa=3, type="M_IT_TB_1", kind=Kind.COUNTER),
]


def name(binding: int) -> str:
    return f"at {binding}"


def lived() -> Conversation:
    talk = Conversation(lines=LINES)
    talk.show(1, 10.0)
    station = talk.station
    station.act_on_counters(Freeze.FREEZE_AND_RESET, station.counters.index)
    station.load_parameter(0, ParameterKind.HIGH, 5.0, True)
    station.activate_cyclic(0, False)
    return talk


def through_json(talk: Conversation) -> Any:
    return json.loads(json.dumps(remember(talk.station, name)))


def test_a_fresh_station_remembers_nothing() -> None:
    assert remember(Conversation(lines=LINES).station, name) == {
        "version": 1,
        "counters": {},
        "parameters": {},
        "silent": [],
    }


def test_what_was_remembered_is_there_again() -> None:
    before = lived()
    after = Conversation(lines=LINES)
    recall(after.station, through_json(before), name)
    for column in ("zero", "before", "frozen", "frozen_quality", "number", "held"):
        assert np.array_equal(
            getattr(after.station.counters, column), getattr(before.station.counters, column), equal_nan=True
        )
    assert repr(after.station.parameters.loaded) == repr({0: Loaded(high=5.0)})
    assert after.station.cycles.silent.tolist() == [True, False, False]
    assert not after.station.altered


def test_what_the_map_has_no_more_is_left_out() -> None:
    memory = through_json(lived())
    after = Conversation(lines=LINES)
    recall(after.station, memory, lambda binding: f"elsewhere {binding}")
    assert remember(after.station, name) == remember(Conversation(lines=LINES).station, name)


@pytest.mark.parametrize(
    "memory",
    [
        None,
        [],
        5,
        {},
        {"version": 2},
        {"version": 1},
        {"version": 1, "counters": {}, "parameters": {}},
        {"version": 1, "counters": 5, "parameters": {}, "silent": []},
        {"version": 1, "counters": {"at 1": [1]}, "parameters": {}, "silent": []},
        {"version": 1, "counters": {"at 1": ["x"] * 6}, "parameters": {}, "silent": []},
        {"version": 1, "counters": {"at 1": [0, 0, 0, 1e300, 0, 0]}, "parameters": {}, "silent": []},
        {"version": 1, "counters": {}, "parameters": {"at 0": [1, 2]}, "silent": []},
        {"version": 1, "counters": {}, "parameters": {"at 0": [-1, None, None, True]}, "silent": []},
        {"version": 1, "counters": {}, "parameters": {"at 0": 7}, "silent": []},
        {"version": 1, "counters": {}, "parameters": {}, "silent": [[]]},
    ],
)
def test_what_is_no_memory_is_refused(memory: Any) -> None:
    with pytest.raises(ValueError):
        recall(Conversation(lines=LINES).station, memory, name)


def test_counters_leave_what_is_no_counter_alone() -> None:
    counters = Counters(np.array([False, True, False]))
    index = np.array([0, 1, 2])
    values = np.array([1.4, 1.6, 2.4])
    assert counters.live(index, values).tolist() == [1.4, 2.0, 2.4]
    none = Counters(np.zeros(3, np.bool_))
    assert none.live(index, values) is values
    assert none.memorised(index, values, np.zeros(3, np.uint32))[0] is values


def test_a_counter_without_a_value_is_not_reset_to_nothing() -> None:
    counters = Counters(np.array([True]))
    index, nan, quality = np.array([0]), np.array([np.nan]), np.zeros(1, np.uint32)
    counters.act(Freeze.RESET, index, nan, quality)
    assert counters.zero.tolist() == [0.0]
