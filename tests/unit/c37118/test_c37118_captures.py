"""Streams recorded between real PMUs and a concentrator: every frame has a good CHK, every value is plausible."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.points import Quality
from protocols.c37118.configuration import Assembler, Configuration
from protocols.c37118.decode import Decoder
from protocols.c37118.frame import CONFIGURATIONS, Command, FrameType, Splitter, check, command_of, head_of
from tests.kit.pmucaptures import DATA, Direction, directions
from tests.kit.pmukit import bound

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no captures at {DATA}")

# Name of the capture, then per stream: id, station, frames of data, nominal Hz, magnitude of the first voltage in V.
RECORDED = {
    "C37.118_1PMU_TCP.pcap": [(241, "Blue PMU", 252, 50, (100_041, 100_047))],
    "C37.118_1PMU_UDP.pcap": [(60, "PMU1", 356, 50, (100.0, 100.1))],
    "C37.118_2PMUsInSync_TCP.pcap": [
        (241, "Blue PMU", 1501, 50, (100_040, 100_047)),
        (60, "PMU1", 1501, 50, (100.0, 100.1)),
    ],
    "c37_1100_fullclean.pcap": [(1, "Reporting1", 422, 60, (189_000, 191_000))],
}


def frames_of(direction: Direction) -> list[bytes]:
    if direction.udp:
        return [check(chunk) for chunk in direction.chunks]
    splitter = Splitter()
    return [frame for chunk in direction.chunks for frame in splitter.feed(chunk)]


def of(direction: Direction, *types: FrameType) -> list[bytes]:
    return [frame for frame in frames_of(direction) if head_of(frame).type in types]


def configuration(direction: Direction) -> Configuration | None:
    frames = of(direction, *CONFIGURATIONS)
    return Assembler().take(frames[0]) if frames else None


@pytest.mark.parametrize("name", RECORDED)
def test_every_data_frame_is_decoded(name: str) -> None:
    streams = [(found, each) for each in directions(name) if (found := configuration(each)) is not None]
    assert len(streams) == len(RECORDED[name])
    for (found, direction), expected in zip(streams, RECORDED[name], strict=True):
        idcode, station, count, nominal, volts = expected
        (pmu,) = found.pmus
        assert (found.id, pmu.name, pmu.nominal_hz) == (idcode, station, nominal)
        data = of(direction, FrameType.DATA)
        assert len(data) == count
        phasors = [f"PHASOR[{n}].{part}" for n in range(1, len(pmu.phasors) + 1) for part in ("mag", "ang")]
        first_voltage = next(n for n, phasor in enumerate(pmu.phasors) if not phasor.current)
        points = bound("FREQ", "DFREQ", *phasors, binary=[f"DIGITAL[{n + 1}].0" for n in range(len(pmu.digitals))])
        batch, _ = Decoder(found, points).decode(data)
        frequency, rocof, rest = batch.values[:, 0], batch.values[:, 1], batch.values[:, 2:]
        assert (np.abs(frequency - nominal) < 1).all()
        assert (np.abs(rocof) < 60).all()
        voltage = rest[:, 2 * first_voltage]
        assert volts[0] <= voltage.min() and voltage.max() <= volts[1]
        angles = rest[:, 1 : 2 * len(pmu.phasors) : 2]
        assert (np.abs(angles) <= 180).all()
        steps_s = np.diff(batch.times_ns) / 1e9
        np.testing.assert_allclose(steps_s, found.period_s, atol=1e-6)


@pytest.mark.parametrize("name", RECORDED)
def test_a_batch_is_what_its_frames_are_one_by_one(name: str) -> None:
    for direction in directions(name):
        found = configuration(direction)
        if found is None:
            continue
        data = of(direction, FrameType.DATA)[:200]
        points = bound("FREQ", "DFREQ", "STAT", "PHASOR[1].mag", "PHASOR[1].ang")
        whole, _ = Decoder(found, points).decode(data)
        single = Decoder(found, points)
        parts = [single.decode([frame])[0] for frame in data]
        np.testing.assert_array_equal(whole.values, np.concatenate([part.values for part in parts]))
        np.testing.assert_array_equal(whole.qualities, np.concatenate([part.qualities for part in parts]))


def test_a_relay_without_a_clock_says_so_and_keeps_its_frequency() -> None:
    """The last capture: sync lost for more than 1000 s, time quality 15. Only its angles are unfit for use."""
    (direction,) = [each for each in directions("c37_1100_fullclean.pcap") if configuration(each)]
    found = configuration(direction)
    assert found is not None
    points = bound("FREQ", "VA P.mag", "VA P.ang", binary=["STAT.sync_lost", "STAT.trigger", "IN1", "DIGITAL[1].12"])
    batch, _ = Decoder(found, points).decode(of(direction, FrameType.DATA))
    time, reference = int(Quality.TIME_INVALID), int(Quality.REFERENCE_ERROR)
    # IN1 is one of the ten bits the device says are in use; bit 12 is not.
    expected = [time, time, time | reference, time, time, time, time | int(Quality.INVALID)]
    assert (batch.qualities == np.array(expected)).all()
    assert (batch.values[:, 3] == 1).all()


def test_the_concentrators_commands_are_what_this_driver_sends() -> None:
    orders = [
        command_of(frame)[0] for each in directions("C37.118_1PMU_UDP.pcap") for frame in of(each, FrameType.COMMAND)
    ]
    assert orders == [Command.DATA_OFF, Command.SEND_CFG2, Command.DATA_ON, Command.DATA_OFF]
