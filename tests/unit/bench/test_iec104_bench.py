"""The 104 measurements in small: everything that was made is counted, and a peer's losses would be seen."""

from __future__ import annotations

import asyncio
import json

import pytest

from bench import iec104_events, iec104_interrogation, iec104_latency
from bench import iec104_rig as rig
from bench.result import Result


def test_the_worker_delivers_what_the_core_publishes_to_each_master() -> None:
    rate, cpu_s = asyncio.run(iec104_events._ours(127, 2, 3_000))
    assert rate > 0 and cpu_s >= 0


def test_interrogated_points_are_counted_to_the_last() -> None:
    found = asyncio.run(iec104_interrogation._ours(3_000, 3))
    assert {(seen["points"], seen["distinct"], seen["terminated"]) for seen in found} == {(3_000, 3_000, True)}


def test_ways_are_paired_by_the_number_that_an_event_carries() -> None:
    ways = iec104_latency._ways_ms([1_000_000, 2_000_000, 9_000_000], {"arrivals": [[1, 5_000_000], [0, 2_000_000]]})
    assert ways == [1.0, 3.0]


@pytest.mark.skipif(not rig.has_c104(), reason="c104 is not installed here")
def test_the_peer_is_driven_by_the_same_master() -> None:
    with rig.peer(10, "timed") as peer, rig.masters(peer.port, 1) as (master,):
        master.ask(do="clear")
        said = peer.ask("events 40 400 1")
        seen = master.ask(do="events", expect=40, silence_s=2.0, timeout_s=10.0)
        assert (said["sent"], seen["received"], seen["ordered"]) == (40, 40, True)


def test_a_rate_has_a_least() -> None:
    met = json.loads(Result(name="x", value=5.0, unit="1/s", at_least=4.0).line())
    assert (met["at_least"], met["met"]) == (4.0, True)
    assert Result(name="x", value=3.0, unit="1/s", at_least=4.0).met is False
