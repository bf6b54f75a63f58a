"""Each diagnosis of the PMU doctor, on a simulated PMU that has exactly that fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.contracts.doctor import Finding
from protocols.c37118.doctor import examine
from protocols.c37118.frame import FrameType
from protocols.c37118.plan import Url
from protocols.c37118.simulator import PmuSimulator
from tests.kit.doctorkit import catalogue, faults, finding, patient, running, serving
from tests.kit.pmukit import at, stream

MAP = "point,kind,channel\nfrequency,analog,FREQ\nvoltage,analog,VA.mag\n"


def examined(
    prepare: Callable[[PmuSimulator], object] = lambda simulator: None, text: str = MAP, **keys: object
) -> list[Finding]:
    """The PMU has the map's channels, IDCODE 7 and 50 frames/s; the site file says otherwise where told."""
    simulator = PmuSimulator(stream(MAP, timeout_ms=300))
    prepare(simulator)

    async def story() -> list[Finding]:
        async with serving(simulator):
            plan = stream(text, **{"timeout_ms": 300, **keys})
            return await examine(patient(at(plan, simulator.url), catalogue(len(plan.rows))))

    return asyncio.run(story())


def test_a_stream_that_is_well() -> None:
    found = examined()
    assert faults(found) == []
    assert finding(found, "data").says.endswith("good data frames came")


def test_a_refused_connection() -> None:
    plan = at(stream(MAP), Url(scheme="tcp", host="127.0.0.1", port=1))
    assert faults(asyncio.run(examine(patient(plan, catalogue(2))))) == ["connection_refused"]


def test_a_stream_that_the_gateway_listens_to() -> None:
    plan = at(stream(MAP), Url(scheme="udp-listen", host="127.0.0.1", port=4999))
    found = asyncio.run(examine(patient(plan, catalogue(2), running({"frames": 5, "frames_lost": 2}, 2))))
    assert [each.code for each in found] == ["held", "frames_lost"]


def test_a_wrong_idcode_and_the_one_that_answers() -> None:
    found = examined(id=9)
    assert faults(found) == ["wrong_id", "no_configuration"]
    assert "nobody answers to IDCODE 9, but 7 does" in finding(found, "wrong_id").says


def test_no_configuration_frame() -> None:
    assert faults(examined(lambda pmu: pmu.faults.unknown.add(FrameType.CFG2))) == ["no_configuration"]


def test_no_data_frame() -> None:
    def mute(pmu: PmuSimulator) -> None:
        pmu.faults.mute = True

    assert faults(examined(mute)) == ["no_data"]


def test_channels_that_the_pmu_has_not() -> None:
    found = examined(text=MAP + "current,analog,IA.mag\n")
    assert faults(found) == ["channel_missing"]
    assert "pmu1/current: IA.mag" in finding(found, "channel_missing").evidence[0]


def test_another_rate() -> None:
    found = examined(rate=25)
    assert faults(found) == []
    assert finding(found, "rate").says == "the stream has 50 frames/s, 25 are configured"


def test_a_clock_that_is_not_locked() -> None:
    def unlock(pmu: PmuSimulator) -> None:
        pmu.faults.time_quality = 0x0F

    assert faults(examined(unlock)) == ["time_quality"]


def test_a_clock_that_is_wrong() -> None:
    def ahead(pmu: PmuSimulator) -> None:
        pmu.faults.clock_s = 3600.0

    assert "clock" in faults(examined(ahead))


def test_frames_that_are_lost() -> None:
    def lose(pmu: PmuSimulator) -> None:
        pmu.faults.lose = 0.3

    found = examined(lose)
    assert faults(found) == []
    assert "frames are missing" in finding(found, "frames_lost").says
