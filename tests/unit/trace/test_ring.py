"""The ring of a worker: bounded by what it costs, per master, and never silent about what it lost."""

from __future__ import annotations

from gateway.contracts import LinkName
from gateway.tracing.trace import RECORD_COST, Happening, TraceRecord, TraceRing


def link(number: int = 1, master: str = "main") -> LinkName:
    return LinkName(master, number, ("127.0.0.1", 2404), ("127.0.0.1", 40_000 + number))


def test_a_link_is_told_from_its_beginning_to_its_end() -> None:
    ring = TraceRing()
    ring.opened(link())
    ring.record(link(), False, b"ask")
    ring.record(link(), True, b"answer")
    ring.closed(link(), True)
    told = ring.records("main")
    assert [(r.happening, r.outgoing, r.data) for r in told] == [
        (Happening.OPENED, False, b""),
        (Happening.DATA, False, b"ask"),
        (Happening.DATA, True, b"answer"),
        (Happening.CLOSED, True, b""),
    ]
    assert [r.time_ns for r in told] == sorted(r.time_ns for r in told)


def test_the_oldest_go_first_and_are_counted() -> None:
    ring = TraceRing(bytes_held=10 * (100 + RECORD_COST))
    for number in range(25):
        ring.record(link(), True, bytes([number]) * 100)
    assert [record.data[0] for record in ring.records("main")] == list(range(15, 25))
    assert ring.dropped["main"] == 15


def test_many_links_without_a_word_are_bounded_too() -> None:
    ring = TraceRing(bytes_held=10 * RECORD_COST)
    for number in range(1_000):
        ring.opened(link(number))
        ring.closed(link(number), False)
    assert len(ring.records("main")) == 10


def test_one_record_larger_than_all_is_kept() -> None:
    ring = TraceRing(bytes_held=10)
    ring.record(link(), True, b"x" * 1_000)
    assert len(ring.records("main")) == 1


def test_masters_have_their_own() -> None:
    ring = TraceRing(bytes_held=3 * (10 + RECORD_COST))
    ring.record(link(1, "quiet"), True, b"0123456789")
    for _ in range(100):
        ring.record(link(2, "loud"), True, b"0123456789")
    assert len(ring.records("quiet")) == 1
    assert ring.dropped == {"loud": 97}
    assert ring.records("nobody") == []


def test_a_watcher_hears_until_it_has_enough() -> None:
    ring, heard = TraceRing(), list[TraceRecord]()
    enough = ring.watch(heard.append)
    ring.record(link(), True, b"a")
    enough()
    ring.record(link(), True, b"b")
    assert [record.data for record in heard] == [b"a"]
