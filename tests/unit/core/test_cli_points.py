"""What `gridgate points` shows a person."""

import json

import numpy as np
import pytest

from gateway.__main__ import main
from gateway.cli.points import age_words, chosen_rows, json_line, table_lines, value_words
from gateway.feed.mirror import Mirror
from gateway.points import Kind, Point, PointCatalogue, Quality

S = 1_000_000_000
POINTS = PointCatalogue.of(
    [
        Point(row=0, name="bess1/pcs/power", kind=Kind.ANALOG, unit="kW"),
        Point(row=1, name="bess1/pcs/breaker", kind=Kind.DOUBLE),
        Point(row=2, name="poi/power", kind=Kind.ANALOG, unit="kW"),
        Point(row=3, name="poi/fault", kind=Kind.BINARY),
    ]
)


@pytest.mark.parametrize(
    ("pattern", "rows"), [("", [0, 1, 2, 3]), ("power", [0, 2]), ("poi/*", [2, 3]), ("*/pcs/?ower", [0]), ("x", [])]
)
def test_a_filter_is_part_of_a_name_or_a_pattern(pattern, rows):
    assert chosen_rows(POINTS, pattern) == rows


@pytest.mark.parametrize(
    ("seen_ns", "words"),
    [(0, "never"), (1000 * S, "0.0 s"), (955 * S, "45.0 s"), (1000 * S - 120 * S, "2.0 min"), (1001 * S, "0.0 s")],
)
def test_an_age_is_in_the_unit_a_person_would_use(seen_ns, words):
    assert age_words(seen_ns, 1000 * S) == words


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [(0, 12.5, "12.5"), (1, 2, "closed"), (1, 0, "intermediate"), (3, 1, "on"), (3, 0, "off")],
)
def test_a_state_is_told_in_words(row, value, words):
    assert value_words(POINTS.point(row), value) == words


def test_a_value_never_heard_is_no_number_and_a_stale_one_says_so():
    mirror = Mirror(4)
    mirror.value[0], mirror.quality[0], mirror.seen_ns[0] = 7, Quality.NOT_TOPICAL, 990 * S
    lines = table_lines(POINTS, mirror, [0, 2], 1000 * S)
    assert lines[1].split() == ["bess1/pcs/power", "7", "kW", "10.0", "s", "not", "topical"]
    assert lines[2].split() == ["poi/power", "-", "kW", "never", "never", "reported"]


def test_json_has_no_nan():
    mirror = Mirror(4)
    mirror.value[0] = np.nan
    assert json.loads(json_line(POINTS, mirror, 0))["value"] is None


def test_a_wrong_command_line_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as end:
        main(["pints"])
    assert end.value.code == 2
    with pytest.raises(SystemExit) as end:
        main(["points"])
    assert end.value.code == 2
    assert "site" in capsys.readouterr().err
