"""Blocks, and the hunt for what a device refuses, against a device that is a set of readable addresses."""

from __future__ import annotations

import contextlib

from protocols.modbus.plan import Table
from protocols.modbus.planner import Shelf


def shelf(*spans: tuple[int, int], gap: int = 10, size: int = 125) -> Shelf:
    """Spans as (address, width)."""
    return Shelf(Table.INPUT, [a for a, _ in spans], [a + w for a, w in spans], gap, size)


def reads(plan: Shelf) -> list[tuple[int, int]]:
    return [plan.span(*block) for block in plan.blocks()]


def hunt(plan: Shelf, readable: set[int], crossing: set[int] = frozenset()) -> int:  # type: ignore[assignment]
    """Let a device that has these addresses (and none that reads across `crossing`) answer until all is settled.

    Returns how many requests it took.
    """
    requests = 0

    def answers(low: int, high: int) -> bool:
        nonlocal requests
        requests += 1
        start, count = plan.span(low, high)
        asked = set(range(start, start + count))
        return asked <= readable and not any(edge in asked and edge - 1 in asked for edge in crossing)

    while refused := [block for block in plan.blocks() if not answers(*block)]:
        search = plan.hunt(*refused[0])
        try:
            wanted = next(search)
            while True:
                wanted = search.send(answers(*wanted))
        except StopIteration:
            pass
    return requests


def test_neighbours_share_a_read_and_a_wide_gap_parts_them() -> None:
    assert reads(shelf((0, 2), (2, 2), (14, 1), (26, 1))) == [(0, 15), (26, 1)]


def test_a_read_is_never_larger_than_the_device_takes() -> None:
    plan = shelf(*((n, 1) for n in range(300)))
    assert reads(plan) == [(0, 125), (125, 125), (250, 50)]


def test_a_value_is_never_split() -> None:
    plan = shelf(*((2 * n, 2) for n in range(100)), size=125)
    assert reads(plan) == [(0, 124), (124, 76)]


def test_overlapping_values_are_covered_by_one_read() -> None:
    assert reads(shelf((10, 4), (11, 1), (12, 2), (14, 1))) == [(10, 5)]


def test_one_refused_address_does_not_take_its_neighbours_with_it() -> None:
    plan = shelf(*((n, 1) for n in range(100)))
    hunt(plan, set(range(100)) - {37})
    assert plan.refused == {37}
    assert reads(plan) == [(0, 37), (38, 62)], "two reads, not the crumbs of the hunt"


def test_several_refused_addresses() -> None:
    plan = shelf(*((n, 1) for n in range(120)))
    requests = hunt(plan, set(range(120)) - {0, 50, 51, 119})
    assert plan.refused == {0, 50, 51, 119}
    assert reads(plan) == [(1, 49), (52, 67)]
    assert requests < 60


def test_an_unmapped_gap_is_no_longer_read_across() -> None:
    plan = shelf((0, 2), (2, 2), (8, 2), (10, 2))
    hunt(plan, {0, 1, 2, 3, 8, 9, 10, 11})
    assert not plan.refused
    assert reads(plan) == [(0, 4), (8, 4)]


def test_a_boundary_the_device_does_not_read_across() -> None:
    plan = shelf(*((n, 1) for n in range(20)))
    hunt(plan, set(range(20)), crossing={10})
    assert not plan.refused
    assert reads(plan) == [(0, 10), (10, 10)]


def test_a_device_that_refuses_everything_ends_the_hunt() -> None:
    plan = shelf(*((n, 1) for n in range(30)))
    hunt(plan, set())
    assert plan.refused == set(range(30))
    assert plan.blocks() == []


def test_what_was_refused_is_read_again_when_it_answers() -> None:
    plan = shelf(*((n, 1) for n in range(10)))
    plan.refused = {3, 4}
    search = plan.probe([3, 4])
    assert next(search) == (3, 4)
    assert search.send(True) == (4, 5)
    with contextlib.suppress(StopIteration):
        search.send(False)
    assert plan.refused == {4}
