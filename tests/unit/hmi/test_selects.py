"""Selects: the same person, the same point, the same value, in time, once."""

from __future__ import annotations

import pytest

from hmi.controlling.selects import VALID_S, Selects
from hmi.refusal import Refusal


def test_a_select_is_executed_once() -> None:
    selects = Selects()
    token = selects.open("omar", 3, 250.0, 0.0)
    selects.take(token, "omar", 3, 250.0, VALID_S - 0.1)
    with pytest.raises(Refusal, match="no such select"):
        selects.take(token, "omar", 3, 250.0, VALID_S - 0.1)


@pytest.mark.parametrize(("who", "row", "value"), [("vera", 3, 250.0), ("omar", 4, 250.0), ("omar", 3, 251.0)])
def test_for_something_else_it_is_used_up(who: str, row: int, value: float) -> None:
    selects = Selects()
    token = selects.open("omar", 3, 250.0, 0.0)
    with pytest.raises(Refusal, match="something else"):
        selects.take(token, who, row, value, 1.0)
    with pytest.raises(Refusal):
        selects.take(token, "omar", 3, 250.0, 1.0)


def test_one_that_ran_out_does_nothing() -> None:
    selects = Selects()
    token = selects.open("omar", 3, 250.0, 0.0)
    with pytest.raises(Refusal, match="run out"):
        selects.take(token, "omar", 3, 250.0, VALID_S)


def test_there_are_never_too_many() -> None:
    selects = Selects()
    tokens = [selects.open("omar", row, 0.0, 0.0) for row in range(500)]
    with pytest.raises(Refusal):
        selects.take(tokens[0], "omar", 0, 0.0, 1.0)
    selects.take(tokens[-1], "omar", 499, 0.0, 1.0)
