"""Calculated points follow their inputs: value, quality and time."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.points import GOOD, Kind, Quality
from gateway.points.calculated import CalculatedPoint, CalculatedPoints, order
from gateway.points.expression import Expression

NAMES = ["x/a", "x/b", "x/c", "sum", "twice", "alarm", "first_good"]
ROWS = {name: row for row, name in enumerate(NAMES)}
SOURCES = [
    ("sum", Kind.ANALOG, "x/a + x/b"),
    ("twice", Kind.ANALOG, "sum * 2 + x/a"),
    ("alarm", Kind.BINARY, "twice / x/c"),
    ("first_good", Kind.ANALOG, "x/a if good(x/a) else x/b"),
]
POINTS = [CalculatedPoint(row=ROWS[name], kind=kind, expression=Expression(e, ROWS)) for name, kind, e in SOURCES]


class Table:
    """The point table as the core keeps it, and the core: changes in, what is calculated published."""

    def __init__(self) -> None:
        self.value = np.zeros(len(NAMES))
        self.quality = np.full(len(NAMES), int(Quality.NEVER_REPORTED), np.uint32)
        self.time_ns = np.zeros(len(NAMES), np.int64)
        self.calculated = CalculatedPoints(POINTS)

    def put(self, name: str, value: float, time_ns: int, quality: Quality = GOOD) -> list[str]:
        row = ROWS[name]
        self.value[row], self.quality[row], self.time_ns[row] = value, int(quality), time_ns
        result = self.calculated.after(np.array([row], np.uint32), self.value, self.quality, self.time_ns)
        if result is None:
            return []
        rows, self.value[result[0]], self.quality[result[0]], self.time_ns[result[0]] = result
        return [NAMES[row] for row in rows]

    def show(self, name: str) -> tuple[float, Quality, int]:
        row = ROWS[name]
        return float(self.value[row]), Quality(int(self.quality[row])), int(self.time_ns[row])


@pytest.fixture
def table() -> Table:
    table = Table()
    for time_ns, (name, value) in enumerate({"x/a": 1.0, "x/b": 2.0, "x/c": 4.0}.items()):
        table.put(name, value, time_ns + 1)
    return table


def test_one_change_goes_through_all_that_follow_from_it_once(table: Table) -> None:
    assert table.put("x/a", 5.0, 10) == ["sum", "twice", "alarm", "first_good"]
    assert table.show("sum") == (7.0, GOOD, 10)
    assert table.show("twice") == (19.0, GOOD, 10)
    assert table.show("alarm") == (1.0, GOOD, 10)


def test_only_what_reads_the_point_is_calculated(table: Table) -> None:
    assert table.put("x/c", 8.0, 10) == ["alarm"]


def test_the_time_is_that_of_the_newest_input(table: Table) -> None:
    assert table.show("sum") == (3.0, GOOD, 2)
    table.put("x/b", 3.0, 20)
    table.put("x/a", 3.0, 15)
    assert table.show("sum") == (6.0, GOOD, 20)


@pytest.mark.parametrize(
    ("of_input", "of_result"),
    [
        (Quality.INVALID, Quality.INVALID),
        (Quality.NOT_TOPICAL, Quality.INVALID | Quality.NOT_TOPICAL),
        (Quality.COMM_LOST, Quality.INVALID | Quality.COMM_LOST),
        (Quality.NEVER_REPORTED, Quality.INVALID),
        (Quality.REFERENCE_ERROR, Quality.INVALID),
        (Quality.SUBSTITUTED, Quality.SUBSTITUTED),
        (Quality.TIME_INVALID | Quality.TEST, Quality.TIME_INVALID | Quality.TEST),
        (Quality.OVER_RANGE, GOOD),
    ],
)
def test_quality_follows_the_inputs(table: Table, of_input: Quality, of_result: Quality) -> None:
    table.put("x/b", 2.0, 2, of_input)
    assert table.show("sum") == (3.0, of_result, 2)


def test_a_bad_input_keeps_the_last_value(table: Table) -> None:
    table.put("x/b", 99.0, 10, Quality.INVALID)
    assert table.show("sum") == (3.0, Quality.INVALID, 10)


def test_no_value_is_invalid_and_keeps_the_last(table: Table) -> None:
    table.put("x/c", 0.0, 10)
    assert table.show("alarm") == (1.0, Quality.INVALID, 10)


def test_good_deals_with_a_bad_input(table: Table) -> None:
    table.put("x/a", 9.0, 10, Quality.COMM_LOST)
    assert table.show("first_good") == (2.0, GOOD, 10)
    table.put("x/b", 3.0, 11, Quality.COMM_LOST)
    assert table.show("first_good") == (2.0, Quality.INVALID | Quality.COMM_LOST, 11)


def test_a_value_that_a_person_forced_is_what_others_see(table: Table) -> None:
    table.put("sum", 100.0, 10, Quality.SUBSTITUTED)
    assert table.show("twice") == (201.0, Quality.SUBSTITUTED, 10)
    rows, values, qualities, _ = table.calculated.after(
        np.array([ROWS["x/b"]], np.uint32), table.value, table.quality, table.time_ns
    ) or pytest.fail("nothing was calculated")
    assert values[rows == ROWS["sum"]] == [3.0]  # what the field says, kept underneath by the table
    assert values[rows == ROWS["twice"]] == [201.0]
    assert qualities[rows == ROWS["twice"]] == [int(Quality.SUBSTITUTED)]


def test_nothing_is_done_when_no_input_changed(table: Table) -> None:
    other = np.array([5, 6, 400_000], np.uint32)
    assert table.calculated.after(other, table.value, table.quality, table.time_ns) is None
    assert CalculatedPoints([]).every(table.value, table.quality, table.time_ns) is None


def test_every_calculates_all(table: Table) -> None:
    result = table.calculated.every(table.value, table.quality, table.time_ns)
    assert result is not None
    assert result[0].tolist() == [3, 4, 5, 6]


def test_order_and_circles() -> None:
    ordered, circular = order(POINTS[::-1])
    assert [NAMES[point.row] for point in ordered] == ["first_good", "sum", "twice", "alarm"]
    assert circular == []
    one = CalculatedPoint(row=3, kind=Kind.ANALOG, expression=Expression("twice + 1", ROWS))
    ordered, circular = order([one, POINTS[1], POINTS[3]])
    assert [NAMES[point.row] for point in circular] == ["sum", "twice"]
    with pytest.raises(ValueError, match="order"):
        CalculatedPoints([POINTS[1], POINTS[0]])
