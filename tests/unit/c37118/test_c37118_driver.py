"""Stories between a PMU (simulated, over real sockets), the driver, and the core."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.contracts import DeviceState
from gateway.points import Quality
from protocols.c37118.configuration import Format
from protocols.c37118.frame import Command, FrameType
from protocols.c37118.played import without
from protocols.c37118.simulator import PmuSimulator
from tests.kit.pmukit import Scene, at_work, stream
from tests.kit.ports import free_port
from tests.kit.recordingport import until

MAP = """
point,kind,pmu,channel,scale,unit
frequency,analog,North,FREQ,,Hz
rocof,analog,North,DFREQ,,Hz/s
voltage,analog,North,VA.mag,0.001,kV
angle,analog,North,VA.ang,,deg
power,analog,South,P,,kW
breaker,binary,South,CB,,
trip,binary,South,DIGITAL[2].7,,
"""
VALUES = (49.98, -0.25, 19.0, -30.0, 250.0, 1.0, 1.0)
LOST, INVALID = int(Quality.COMM_LOST), int(Quality.INVALID)


def play(story: Callable[[Scene], Awaitable[None]], shape: Format | None = None, text: str = MAP, **keys: Any) -> None:
    async def scene() -> None:
        plan = stream(text, timeout_ms=300, reconnect_max_s=0.5, **keys)
        async with at_work(plan, shape) as found:
            await story(found)

    asyncio.run(scene())


@pytest.mark.parametrize("cfg", [1, 2, 3])
@pytest.mark.parametrize("polar", [True, False])
@pytest.mark.parametrize("floats", [True, False])
def test_every_format_and_configuration_brings_the_same_values(cfg: int, polar: bool, floats: bool) -> None:
    async def story(scene: Scene) -> None:
        scene.show(*VALUES)
        await until(lambda: np.allclose(scene.port.value, VALUES, atol=0.006), "every value")
        assert scene.good(*range(7))

    shape = Format(float_frequency=floats, float_analogs=floats, float_phasors=floats, polar=polar)
    play(story, shape, cfg=cfg)


@pytest.mark.parametrize("rate", [50, 100])
def test_every_frame_arrives_once_with_its_own_time(rate: int) -> None:
    async def story(scene: Scene) -> None:
        times: list[int] = []
        publish = scene.port.publish

        def keep(rows: Any, values: Any, qualities: Any, times_ns: Any) -> None:
            times.append(int(times_ns))
            publish(rows, values, qualities, times_ns)

        scene.port.publish = keep  # type: ignore[method-assign]
        step_ns = 1_000_000_000 // rate

        def in_a_row() -> bool:
            return len(times) >= 40 and set(np.diff(times[-40:]).tolist()) == {step_ns}

        await until(in_a_row, "40 frames on the grid of the second")
        assert times[-1] % step_ns == 0
        steps = set(np.diff(times).tolist())
        assert min(steps) == step_ns, "each frame once, in order"
        if steps == {step_ns}:  # nobody was held up by a machine that does much else
            assert scene.count("frames_lost") == scene.count("errors") == 0

    play(story, rate=rate)


def test_losses_repeats_and_swaps_are_counted() -> None:
    async def story(scene: Scene) -> None:
        faults = scene.simulator.faults
        await until(lambda: scene.good(0), "good")
        faults.lose = 0.3
        await until(lambda: scene.count("frames_lost") >= 3, "losses counted")
        faults.lose = 0.0
        faults.repeat = True
        await until(lambda: scene.count("duplicates") >= 3, "repeats counted")
        faults.repeat = False
        faults.swap = True
        await until(lambda: scene.count("out_of_order") >= 3, "swaps counted")
        faults.swap = False
        assert scene.port.states_of("pmu1") == [DeviceState.CONNECTING, DeviceState.ONLINE]

    play(story)


def test_what_the_pmu_says_of_its_data_reaches_the_core() -> None:
    async def story(scene: Scene) -> None:
        scene.show(*VALUES)
        await until(lambda: scene.good(*range(7)), "good")
        scene.simulator.faults.stat = {0: 0x2000}
        time_and_reference = int(Quality.TIME_INVALID | Quality.REFERENCE_ERROR)
        await until(lambda: int(scene.port.quality[3]) == time_and_reference, "an angle without its reference")
        assert scene.port.quality[[0, 1, 2]].tolist() == [int(Quality.TIME_INVALID)] * 3
        assert scene.good(4, 5, 6), "the other PMU is in step"
        scene.simulator.faults.stat = {1: 0x8000}
        await until(lambda: scene.port.quality[4] == INVALID and scene.good(0, 1, 2, 3), "the other one's error")
        scene.simulator.faults.stat = {}
        scene.simulator.faults.time_quality = 0x0F
        await until(lambda: bool((scene.port.quality == int(Quality.TIME_INVALID)).all()), "the clock has failed")

    play(story)


def test_a_channel_the_pmu_lacks_is_told_once_by_name_and_the_others_live() -> None:
    text = MAP + "phantom,analog,North,VB.mag,,\nnowhere,analog,West,FREQ,,\n"

    async def scene() -> None:
        plan = stream(text, timeout_ms=300, reconnect_max_s=0.5)
        known = replace(plan, bindings=plan.bindings[:7])
        simulator = PmuSimulator(known)
        async with at_work(plan, simulator=simulator) as found:
            await until(lambda: found.good(*range(7)), "the others good")
            simulator.cut()
            await until(lambda: found.count("connects") == 2 and found.good(*range(7)), "a second connection")
            told = found.port.log.of("channel missing")
            assert [each["point"] for each in told] == ["pmu1/phantom", "pmu1/nowhere"]
            assert told[0]["why"] == "North has no phasor VB; it has: VA"
            assert "no PMU West" in str(told[1]["why"])
            assert (found.port.quality[[7, 8]] & INVALID == INVALID).all()
            assert found.count("channels_missing") == 2

    asyncio.run(scene())


@pytest.mark.parametrize("cfg", [2, 3])
def test_a_configuration_that_changes_under_way_is_followed(cfg: int) -> None:
    async def story(scene: Scene) -> None:
        scene.show(*VALUES)
        await until(lambda: scene.good(*range(7)), "good")
        scene.simulator.faults.stat = {0: 0x0400}
        await until(lambda: scene.count("configurations") >= 2, "asked when it is announced")
        scene.simulator.reconfigure(without(scene.simulator.configuration, 0, "VA"))
        scene.simulator.faults.stat = {}
        await until(lambda: scene.count("channels_missing") == 2, "the new configuration")
        scene.show(49.5, 0.0, 0.0, 0.0, 300.0)
        await until(lambda: scene.port.value[4] == 300.0 and scene.good(0, 1, 4, 5, 6), "the channels that are left")
        assert scene.port.quality[2] & INVALID
        assert len(scene.port.log.of("configuration changed")) == 1
        assert scene.port.states_of("pmu1") == [DeviceState.CONNECTING, DeviceState.ONLINE], "it was never lost"

    play(story, cfg=cfg)


def test_a_long_cfg3_comes_in_fragments() -> None:
    async def scene() -> None:
        plan = stream(MAP, cfg=3, timeout_ms=300)
        simulator = PmuSimulator(plan)
        simulator.faults.fragment = 50
        async with at_work(plan, simulator=simulator) as found:
            await until(lambda: found.good(*range(7)), "good")

    asyncio.run(scene())


def test_the_handshake_and_the_farewell() -> None:
    async def scene() -> None:
        plan = stream(MAP, timeout_ms=300)
        simulator = PmuSimulator(plan)
        await simulator.start()
        try:
            async with at_work(plan, simulator=_Running(simulator)) as found:
                await until(lambda: found.good(0), "good")
                assert simulator.commands == [Command.DATA_OFF, Command.SEND_CFG2, Command.DATA_ON]
            await until(lambda: simulator.commands[-1] is Command.DATA_OFF, "told to stop sending")
        finally:
            await simulator.stop()

    asyncio.run(scene())


class _Running(PmuSimulator):
    """A simulator that somebody else starts and stops."""

    def __init__(self, simulator: PmuSimulator) -> None:
        self.url = simulator.url

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@pytest.mark.parametrize(
    ("spoil", "counter", "words"),
    [
        ({"mute": True}, "timeouts", "no data frame"),
        ({"bad_crc": True}, "malformed", "CHK is"),
        ({"wrong_id": True}, "wrong_id", ""),
        ({"garbage": True}, "malformed", "begins with AA"),
        ({"frozen": True}, "timeouts", "no data frame"),
    ],
)
def test_trouble_is_counted_told_and_over_when_it_is_over(spoil: dict[str, bool], counter: str, words: str) -> None:
    async def story(scene: Scene) -> None:
        scene.show(*VALUES)
        await until(lambda: scene.good(*range(7)), "good")
        for name, value in spoil.items():
            setattr(scene.simulator.faults, name, value)
        await until(lambda: bool((scene.port.quality & LOST).all()), "comm lost")
        assert scene.count(counter) > 0
        assert words in next(text for _, state, text in scene.port.states if state is DeviceState.LOST)
        for name in spoil:
            setattr(scene.simulator.faults, name, False)
        await until(lambda: scene.good(*range(7)), "good again")
        assert np.allclose(scene.port.value, VALUES, atol=1e-5)

    play(story)


def test_a_pmu_that_does_not_know_cfg3_is_told_so() -> None:
    async def scene() -> None:
        plan = stream(MAP, timeout_ms=300, cfg=3)
        simulator = PmuSimulator(plan)
        simulator.faults.unknown = {FrameType.CFG3}
        async with at_work(plan, simulator=simulator) as found:
            await until(lambda: DeviceState.LOST in found.port.states_of("pmu1"), "lost")
            assert "no CFG-3 from id 7 within 0.3 s; older devices know cfg 2 only" in found.port.states[-1][2]

    asyncio.run(scene())


def test_a_clock_that_is_far_off_is_told_once_and_its_time_is_kept() -> None:
    async def scene() -> None:
        plan = stream(MAP, timeout_ms=300)
        simulator = PmuSimulator(plan)
        simulator.faults.clock_s = -3600.0
        async with at_work(plan, simulator=simulator) as found:
            await until(lambda: found.good(0), "good: the PMU says that its clock is right")
            (told,) = found.port.log.of("clocks differ")
            assert told["pmu_ahead_s"] == pytest.approx(-3600, abs=30)
            assert found.port.time_ns[0] == pytest.approx(time.time_ns() - 3600 * 10**9, abs=30 * 10**9)

    asyncio.run(scene())


def test_another_rate_than_expected_is_told() -> None:
    async def scene() -> None:
        plan = stream(MAP, timeout_ms=300, rate=25)
        simulator = PmuSimulator(replace(plan, rate=50.0))
        async with at_work(plan, simulator=simulator) as found:
            await until(lambda: found.good(0), "good")
            assert found.port.log.of("rate differs") == [{"device": "pmu1", "frames_per_s": 50.0, "expected": 25.0}]

    asyncio.run(scene())


def test_a_stream_of_another_id_is_told() -> None:
    async def scene() -> None:
        plan = stream(MAP, timeout_ms=300, url=f"udp-listen://127.0.0.1:{free_port()}")
        simulator = PmuSimulator(replace(plan, id=60))
        async with at_work(plan, simulator=simulator) as found:
            await until(lambda: DeviceState.LOST in found.port.states_of("pmu1"), "not ours")
            assert "with id 60 instead of 7" in found.port.states[-1][2]
            assert found.port.log.of("frames of another id") == [{"device": "pmu1", "id": 60, "expected": 7}]

    asyncio.run(scene())


def test_a_listener_hears_one_sender_only() -> None:
    async def scene() -> None:
        port = free_port()
        plan = stream(MAP, timeout_ms=300, url=f"udp-listen://127.0.0.1:{port}?from=127.0.0.9")
        async with at_work(plan, simulator=PmuSimulator(plan)) as found:
            await until(lambda: DeviceState.LOST in found.port.states_of("pmu1"), "another sender")
            assert found.count("frames") == 0

    asyncio.run(scene())
