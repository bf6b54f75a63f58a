"""The DNP3 measurements in small: everything that was made is counted, and a peer's losses would be seen."""

from __future__ import annotations

import asyncio

import pytest

from bench import dnp3_events, dnp3_reads
from bench import dnp3_rig as rig
from bench.dnp3_master import objects


def test_every_point_of_a_class_0_read_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnp3_reads, "ROUNDS", 1)
    seen = asyncio.run(dnp3_reads._ours({"AI": 500, "BI": 300, "CTR": 5}, dnp3_reads.CLASS_0))
    assert seen.answer["objects"] == {"g1v2": 300, "g20v1": 5, "g30v5": 500}


def test_events_reach_the_master_in_order_by_poll_and_unsolicited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnp3_events, "EVENTS", 3_000)
    monkeypatch.setattr(dnp3_events, "POINTS", 200)
    assert asyncio.run(dnp3_events._polled()).rate > 0
    assert asyncio.run(dnp3_events._unsolicited()).rate > 0


def test_a_missing_event_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="10 events were made"):
        dnp3_events._rate({"received": 9, "distinct": 9, "ordered": True, "last_ns": 2}, 10, 1, 0.0)


def test_the_measuring_master_walks_headers_of_every_kind() -> None:
    fragment = bytes.fromhex(
        "c0810000" + "01010000 09 ff03" + "1e050100000100" + "01" * 10 + "20072801000b00" + "01" * 11
    )
    assert [(group, variation, count) for group, variation, count, _ in objects(fragment)] == [
        (1, 1, 10),
        (30, 5, 2),
        (32, 7, 1),
    ]


@pytest.mark.skipif(not rig.has_peer(), reason="yadnp3 is not installed here")
def test_the_peer_is_driven_by_the_same_master() -> None:
    with rig.peer(10, capacity=100) as peer:
        peer.events(40, batch=7)
        with rig.reader(peer.port) as master:
            seen = master.ask(do="poll", expect=40, silence_s=2.0, timeout_s=10.0)
            assert (seen["received"], seen["ordered"]) == (40, True)
