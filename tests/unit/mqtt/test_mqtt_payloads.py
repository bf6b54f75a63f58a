"""What payloads mean: paths, times, words, qualities, retained values."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from gateway.points import Kind, Quality
from protocols.mqtt.batch import Batch
from protocols.mqtt.jsonpath import MISSING, lookup, parse_path
from protocols.mqtt.jsonview import JsonView, quality_flags
from protocols.mqtt.reading import NoReading, Reading
from protocols.mqtt.sourcetime import to_ns
from tests.kit.mqttkit import device_plan

NOW = 1_764_072_000_000_000_000


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[0].c", 1),
        ("a.b[1]", "x"),
        ('p["poi/power"].value', 5),
        ("[0]", MISSING),
        ("a.b[9].c", MISSING),
        ("a.b.c", MISSING),
        ("a.none", MISSING),
    ],
)
def test_paths_lead_where_they_say(path: str, found: Any) -> None:
    document = {"a": {"b": [{"c": 1}, "x"]}, "p": {"poi/power": {"value": 5}}}
    assert lookup(document, parse_path(path)) == found


@pytest.mark.parametrize("path", ["a..b", ".a", "a[", "a[x]", "a b", 'a["b]', "a]", "a[-1]", "a."])
def test_a_path_that_is_none_says_where(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


@pytest.mark.parametrize(
    ("value", "unit", "ns"),
    [
        (1_764_072_000, "auto", NOW),
        (1_764_072_000.5, "auto", NOW + 500_000_000),
        (1_764_072_000_000, "auto", NOW),
        (1_764_072_000_000_000, "auto", NOW),
        (NOW, "auto", NOW),
        (1_764_072_000, "s", NOW),
        ("2025-11-25T12:00:00Z", "auto", NOW),
        ("2025-11-25T17:30:00+05:30", "auto", NOW),
        ("2025-11-25T12:00:00", "auto", NOW),
        ("2025-11-25 12:00:00.123456", "auto", NOW + 123_456_000),
        ("1764072000000", "ms", NOW),
    ],
)
def test_times_of_every_kind(value: Any, unit: str, ns: int) -> None:
    assert to_ns(value, unit) == ns


@pytest.mark.parametrize(
    "value", ["soon", "", None, True, [], -5, float("nan"), 10**30, "9999-99-99", "1e400", "0001-01-01"]
)
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(ValueError, match="no time"):
        to_ns(value, "s")


def test_words_numbers_and_truths() -> None:
    double = Reading(kind=Kind.DOUBLE, words={"closed": 2.0, "open": 1.0})
    assert [double.value(each) for each in ("Closed", "open", 0, True, False)] == [2.0, 1.0, 0.0, 2.0, 1.0]
    state = Reading(kind=Kind.ANALOG, words={"idle": 0.0, "charge": 1.0}, scale=10.0)
    assert [state.value(each) for each in ("charge", "3", 2.5)] == [1.0, 30.0, 25.0]
    running = Reading(kind=Kind.BINARY, words={"run": 1.0, "warm": 1.0}, otherwise=0.0)
    assert [running.value(each) for each in ("run", "WARM", "stopped", 1)] == [1.0, 1.0, 0.0, 0.0]
    plain = Reading(kind=Kind.BINARY)
    assert [plain.value(each) for each in (True, 1, 1.0, "on", "OFF", "0")] == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    for reading, wrong in ((plain, 2), (plain, "maybe"), (double, 7), (state, "x"), (state, [1]), (plain, None)):
        with pytest.raises(NoReading):
            reading.value(wrong)
    with pytest.raises(NoReading):
        Reading(kind=Kind.ANALOG).value(10**400)


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ("good", Quality(0)),
        ("comm lost, not topical", Quality.COMM_LOST | Quality.NOT_TOPICAL),
        ("bad", Quality.INVALID),
        ("whatever", Quality.INVALID),
        (192, Quality(0)),
        (0, Quality.INVALID),
        (68, Quality.NOT_TOPICAL),
        (True, Quality(0)),
        (None, Quality.INVALID),
    ],
)
def test_qualities(said: Any, flags: Quality) -> None:
    assert quality_flags(said) == int(flags)


MAP = """
point,kind,json,max_age_s,quality
power,analog,p,5,q
level,analog,l,,
"""


class Core:
    """Takes what a view says."""

    def __init__(self, **keys: Any) -> None:
        plan = device_plan(MAP, topic="t", time="t", **keys)
        self.view = JsonView(plan.topics, [Counter()])
        self.told: dict[int, tuple[float, Quality, int]] = {}
        self.batch = Batch(self._publish)

    def _publish(self, rows: Any, values: Any, qualities: Any, times: Any) -> None:
        for row, value, quality, time_ns in zip(*(c.tolist() for c in (rows, values, qualities, times)), strict=True):
            self.told[row] = (value, Quality(quality), time_ns)

    def hear(self, document: Any, retained: bool = False) -> set[int]:
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        seen = self.view.message("t", payload, retained, NOW, self.batch)
        self.batch.flush()
        return seen.devices


def test_a_payload_with_time_and_quality() -> None:
    core = Core()
    assert core.hear({"p": 5, "q": "substituted", "t": NOW // 1_000_000 - 1000}) == {0}
    assert core.told == {0: (5.0, Quality.SUBSTITUTED, NOW - 1_000_000_000)}, "what is not in it stays as it is"


def test_what_means_nothing_is_invalid_with_the_value_before() -> None:
    core = Core()
    core.hear({"l": 7, "t": NOW})
    assert core.hear({"l": None, "t": NOW}) == set()
    assert core.told[1] == (7.0, Quality.INVALID, NOW)
    core.hear({"l": {"x": 1}, "t": NOW})
    assert core.told[1][:2] == (7.0, Quality.INVALID)


def test_a_retained_value_is_not_topical_unless_its_time_is_within_max_age() -> None:
    core = Core()
    assert core.hear({"p": 1, "q": "good", "l": 1, "t": NOW - 2_000_000_000}, retained=True) == {0}
    assert core.told[0][1] == Quality(0)
    assert core.told[1][1] == Quality.NOT_TOPICAL, "no max_age: nobody knows"
    core.hear({"p": 1, "q": "good", "t": NOW - 9_000_000_000}, retained=True)
    assert core.told[0][1] == Quality.NOT_TOPICAL
    assert core.hear({"p": 1, "q": "good"}, retained=True) == set()
    assert core.told[0][1] == Quality.NOT_TOPICAL | Quality.TIME_INVALID


def test_a_clock_that_cannot_be_right_is_told() -> None:
    core = Core()
    core.hear({"l": 1, "t": NOW + 3_600_000_000_000})
    assert core.told[1][1] == Quality.TIME_INVALID
    core.hear({"l": 1, "t": "half past"})
    assert core.told[1] == (1.0, Quality.TIME_INVALID, NOW)


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"nonsense", b"[" * 100_000, b"1" * 2_000_000, b"{}" * 10])
def test_a_payload_that_is_none_changes_nothing(payload: bytes) -> None:
    core = Core()
    assert core.hear(payload) == set()
    assert core.told == {}
