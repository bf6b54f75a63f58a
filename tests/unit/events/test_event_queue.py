"""The queue between changes and a master: in order, none lost, none twice, overflow counted."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.events import EVENT, EventQueue, Events


def events(*seqs: int) -> Events:
    batch = np.zeros(len(seqs), EVENT)
    batch["seq"] = seqs
    batch["binding"] = seqs
    return batch


def seqs(batch: Events) -> list[int]:
    return [int(seq) for seq in batch["seq"]]


def test_events_come_out_as_they_went_in() -> None:
    queue = EventQueue(10)
    queue.append(events(1, 2, 3))
    queue.append(events(4))
    assert seqs(queue.take(2)) == [1, 2]
    assert seqs(queue.take(9)) == [3, 4]
    assert seqs(queue.take(9)) == []
    assert (len(queue), queue.waiting, queue.in_flight) == (4, 0, 4)


def test_a_lost_link_offers_again_what_was_not_confirmed() -> None:
    queue = EventQueue(10)
    queue.append(events(1, 2, 3, 4))
    queue.take(3)
    queue.release(1)
    queue.rewind()
    assert seqs(queue.take(9)) == [2, 3, 4]


def test_overflow_drops_the_oldest_and_counts() -> None:
    queue = EventQueue(3)
    assert queue.append(events(1, 2, 3)) == 0
    assert queue.append(events(4, 5)) == 2
    assert seqs(queue.take(9)) == [3, 4, 5]
    assert queue.lost == 2


def test_a_batch_larger_than_the_queue_keeps_its_end() -> None:
    queue = EventQueue(3)
    queue.append(events(1))
    assert queue.append(events(*range(2, 12))) == 8
    assert seqs(queue.take(9)) == [9, 10, 11]


def test_overflow_spares_what_is_in_flight() -> None:
    queue = EventQueue(4)
    queue.append(events(1, 2, 3, 4))
    queue.take(2)
    assert queue.append(events(5)) == 1
    queue.release(2)
    assert seqs(queue.take(9)) == [4, 5]


def test_overflow_with_everything_in_flight_drops_the_new() -> None:
    queue = EventQueue(2)
    queue.append(events(1, 2))
    queue.take(2)
    assert queue.append(events(3)) == 1
    queue.rewind()
    assert seqs(queue.take(9)) == [1, 2]


def test_confirmed_follows_release_and_records_without_events() -> None:
    queue = EventQueue(10)
    queue.note(4)
    assert queue.confirmed_seq == 4
    queue.append(events(7, 9))
    queue.note(12)
    assert queue.confirmed_seq == 6
    queue.take(2)
    assert queue.confirmed_seq == 6
    queue.release(1)
    assert queue.confirmed_seq == 8
    queue.release(1)
    assert queue.confirmed_seq == 12


def test_releasing_what_is_not_in_flight_is_our_mistake() -> None:
    queue = EventQueue(10)
    queue.append(events(1))
    with pytest.raises(ValueError, match="0 in flight"):
        queue.release(1)


def test_memory_is_bounded_however_long_it_runs() -> None:
    queue = EventQueue(1_000)
    for start in range(0, 100_000, 500):
        queue.append(events(*range(start, start + 500)))
        queue.take(500)
        queue.release(queue.in_flight)
    assert len(queue._buffer) <= 4_000


def test_an_empty_queue_holds_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        EventQueue(0)
