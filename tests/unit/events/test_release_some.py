"""Events may be released in any order: what a class poll confirms out of the middle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events import EVENT, EventJournal, EventQueue, Events
from tests.kit.feedkit import QuietLog


def events(first: int, count: int) -> Events:
    out = np.zeros(count, EVENT)
    out["value"] = out["seq"] = np.arange(first, first + count)
    return out


def numbers(*those: int) -> np.ndarray:
    return np.array(those, np.int64)


def test_the_oldest_leave_first_whatever_the_order() -> None:
    queue = EventQueue(10)
    queue.append(events(1, 6))
    queue.take(5)
    queue.release_some(numbers(1, 3))
    assert queue.numbers.tolist() == [0, 2, 4, 5]
    assert (queue.in_flight, queue.waiting, queue.confirmed_seq) == (3, 1, 0)
    queue.release_some(numbers(0))
    assert queue.confirmed_seq == 2
    queue.rewind()
    assert queue.take(9)["value"].tolist() == [3.0, 5.0, 6.0]


def test_what_is_not_in_flight_is_not_released() -> None:
    queue = EventQueue(10)
    queue.append(events(1, 4))
    queue.take(2)
    for wrong in (numbers(0, 2), numbers(2), numbers(7), numbers(1, 9)):
        with pytest.raises(ValueError, match="in flight"):
            queue.release_some(wrong)
    queue.release_some(numbers())
    assert len(queue) == 4 and queue.next_number == 4


@given(st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 40), max_size=6)), max_size=12))
def test_a_queue_and_a_set_agree(steps: list[tuple[int, set[int]]]) -> None:
    queue, held = EventQueue(1_000), []
    for count, chosen in steps:
        held += range(queue.next_number, queue.next_number + count)
        queue.append(events(queue.next_number + 1, count))
        queue.take(count)
        gone = sorted(chosen & set(held))
        assert queue.leads(numbers(*gone)) == (
            gone == held[: len(gone)] and gone == list(range(gone[0], gone[-1] + 1)) if gone else True
        )
        queue.release_some(numbers(*gone))
        held = [number for number in held if number not in gone]
        assert queue.numbers.tolist() == held
        queue.rewind()
        assert [int(value) - 1 for value in queue.take(1_000)["value"]] == held


def test_a_journal_keeps_what_is_left_in_the_middle(tmp_path: Path) -> None:
    names = [("p", "AI 0")]
    journal = EventJournal.open(tmp_path / "a.db", 100, names, QuietLog())
    journal.append(events(1, 20))
    journal.take(20)
    journal.release_some(numbers(3, 4, 5, 10))
    journal.close()
    journal = EventJournal.open(tmp_path / "a.db", 100, names, QuietLog())
    expected = [number for number in range(20) if number not in (3, 4, 5, 10)]
    assert journal.numbers.tolist() == expected
    assert [int(value) - 1 for value in journal.take(100)["value"]] == expected
    journal.close()
