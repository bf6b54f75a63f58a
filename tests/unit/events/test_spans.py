"""Numbers of the events held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events.spans import Spans

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.integers(0, 5), st.integers(0, 9)),
        st.tuples(st.just("remove"), st.integers(0, 12), st.integers(0, 12)),
    )
)


@given(STEPS)
def test_spans_are_a_list_of_numbers_written_short(steps: list[tuple[str, int, int]]) -> None:
    spans, numbers, following = Spans(), [], 0
    for what, a, b in steps:
        if what == "extend":
            following += a
            spans.extend(following, b)
            numbers += range(following, following + b)
            following += b
        else:
            spans.remove(a, b)
            del numbers[a : a + b]
        assert [n for first, count in spans for n in range(first, first + count)] == numbers
        assert len(spans) == len(numbers)
        assert spans.first == (numbers[0] if numbers else None)
        assert list(Spans(spans)) == list(spans)


@pytest.mark.parametrize("runs", [[(5, 0)], [(5, 2), (6, 1)], [(5, 2), (3, 1)], [(-1, 2)]])
def test_runs_that_no_queue_made_are_refused(runs: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="numbers from"):
        Spans(runs)
