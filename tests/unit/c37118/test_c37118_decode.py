"""Data frames to points: every way a number can travel, and what STAT and the clock make of it."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from gateway.points import Quality
from protocols.c37118.configuration import Analog, Configuration, Digital, Format, Phasor, Pmu
from protocols.c37118.decode import Decoder
from protocols.c37118.encode import Measured, data_frame
from protocols.c37118.frame import FrameType, Head, build
from protocols.c37118.quality import LEAP_PENDING, STAT_ANGLE_FLAGS, STAT_FLAGS, TIME_FLAGS
from tests.kit.pmukit import bound, decode

TIME, REFERENCE, INVALID = Quality.TIME_INVALID, Quality.REFERENCE_ERROR, Quality.INVALID
BITS = ("CB", "", "EARTH", *[""] * 13)


def one(shape: Format, kind: FrameType = FrameType.CFG2, **keys: object) -> Configuration:
    """A stream of one PMU with a voltage (10 mV a count), an analog and a digital word."""
    given = {"phasors": (Phasor(name="VA", factor=0.01),), "analogs": (Analog(name="P"),), **keys}
    pmu = Pmu(name="North", id=7, format=shape, digitals=(Digital(names=BITS),), **given)  # type: ignore[arg-type]
    return Configuration(type=kind, id=7, pmus=(pmu,))


def frame(body: str, soc: int = 100, fraction: int = 20_000, time_quality: int = 0) -> bytes:
    head = Head(type=FrameType.DATA, id=7, soc=soc, fraction=fraction, time_quality=time_quality)
    return build(head, bytes.fromhex(body))


ALL = bound("FREQ", "DFREQ", "VA.mag", "VA.ang", "P", "STAT", "DIGITAL[1]", binary=["CB", "EARTH", "DIGITAL[1].2"])
INTEGERS = Format(float_frequency=False, float_analogs=False, float_phasors=False, polar=True)


def test_integers_polar() -> None:
    """23094 counts of 10 mV at 15708/10^4 rad; 50 Hz - 20 mHz; -1.5 Hz/s; -300; bits 0 and 2 on."""
    found = decode(one(INTEGERS), ALL, frame("0000 5a36 3d5c ffec ff6a fed4 0005"))
    np.testing.assert_allclose(
        found.values[0], [49.98, -1.5, 230.94, math.degrees(1.5708), -300, 0, 5, 1, 1, 1], rtol=1e-12
    )
    assert not found.qualities.any()
    assert found.times_ns == [100_020_000_000]


def test_integers_rectangular() -> None:
    """300 and -400 counts of 10 mV: 5 V at -53.13 degrees."""
    shape = Format(float_frequency=False, float_analogs=False, float_phasors=False, polar=False)
    found = decode(one(shape), ALL, frame("0000 012c fe70 0000 0000 0000 0000"))
    np.testing.assert_allclose(found.values[0, 2:4], [5.0, -53.13010235415598])
    assert found.values[0, 0] == 50.0


def test_floats_rectangular() -> None:
    body = struct.pack(">H5fH", 0, 3.0, 4.0, 50.25, 0.5, 12.5, 4).hex()
    found = decode(one(Format(polar=False)), ALL, frame(body))
    np.testing.assert_allclose(found.values[0], [50.25, 0.5, 5.0, 53.13010235415598, 12.5, 0, 4, 0, 1, 1])


def test_floats_polar_are_not_scaled_by_a_cfg2() -> None:
    body = struct.pack(">H5fH", 0, 230.5, math.pi / 2, 59.9, 0.0, -1.0, 0).hex()
    found = decode(one(Format()), bound("VA.mag", "VA.ang"), frame(body))
    np.testing.assert_allclose(found.values[0], [230.5, 90.0], rtol=1e-7)


def test_the_scale_and_angle_of_a_cfg3() -> None:
    """Factor and offset count for integers and floats alike; the angle adjustment is taken off."""
    keys = {
        "phasors": (Phasor(name="VA", factor=0.5, angle_rad=1.0),),
        "analogs": (Analog(name="P", factor=2.0, offset=-1.0),),
    }
    floats = struct.pack(">H5fH", 0, 230.0, -3.0, 50.0, 0.0, 10.0, 0).hex()
    integers = struct.pack(">HHhhhhH", 0, 230, -30000, 0, 0, 10, 0).hex()
    points = [*bound("VA.mag", "P"), *bound("VA.ang", radians=True)]
    for shape, body in ((Format(), floats), (INTEGERS, integers)):
        found = decode(one(shape, FrameType.CFG3, **keys), points, frame(body))
        np.testing.assert_allclose(found.values[0], [115.0, 19.0, 2 * math.pi - 4.0], rtol=1e-6)


def test_a_map_scales_and_shifts_on_top() -> None:
    found = decode(one(INTEGERS), bound("VA.mag", scale=0.001, offset=1.0), frame("0000 5a36 3d5c ffec ff6a fed4 0005"))
    np.testing.assert_allclose(found.values[0], [1.23094])
    inverted = bound(binary=["CB"], scale=-1.0, offset=1.0)
    assert decode(one(INTEGERS), inverted, frame("0000 0000 0000 0000 0000 0000 0001")).values[0, 0] == 0.0


def test_what_is_absent_is_invalid_and_keeps_its_last_value() -> None:
    """8000 in a 16-bit field says that nothing was measured; a phasor without angle has no magnitude."""
    decoder = Decoder(one(INTEGERS), bound("FREQ", "DFREQ", "VA.mag", "VA.ang", "P"))
    good = frame("0000 5a36 3d5c ffec ff6a fed4 0005")
    absent = frame("8000 5a36 8000 8000 8000 8000 0000", fraction=40_000)
    batch, _ = decoder.decode([good, absent, good, absent])
    np.testing.assert_array_equal(batch.values[1], batch.values[0])
    assert (batch.qualities[[1, 3]] == int(INVALID)).all()
    assert not batch.qualities[[0, 2]].any()
    np.testing.assert_array_equal(decoder.decode([absent])[0].values[0], batch.values[0])


def test_nan_and_infinity_of_floats_are_invalid() -> None:
    body = struct.pack(">H5fH", 0, math.nan, 0.0, math.inf, -math.inf, math.nan, 0).hex()
    found = decode(one(Format()), bound("VA.mag", "FREQ", "DFREQ", "P"), frame(body))
    assert (found.qualities == int(INVALID)).all()
    assert (found.values == 0).all()


def test_an_integer_phasor_without_a_factor_has_no_magnitude() -> None:
    configuration = one(INTEGERS, phasors=(Phasor(name="VA", factor=0.0),))
    found = decode(configuration, bound("VA.mag", "VA.ang"), frame("0000 5a36 3d5c ffec ff6a fed4 0005"))
    assert found.qualities[0].tolist() == [int(INVALID), 0]


def test_a_bit_the_device_does_not_use_is_invalid() -> None:
    pmu = Pmu(name="North", id=7, digitals=(Digital(names=BITS, valid=1),))
    configuration = Configuration(type=FrameType.CFG2, id=7, pmus=(pmu,))
    body = struct.pack(">HffH", 0, 50.0, 0.0, 5).hex()
    found = decode(configuration, bound(binary=["CB", "EARTH"]), frame(body))
    assert found.qualities[0].tolist() == [0, int(INVALID)]


@pytest.mark.parametrize(
    ("stat", "every", "angle"),
    [
        (0x0000, 0, 0),
        (0x4000, INVALID, INVALID),  # PMU error
        (0x8000, INVALID, INVALID),  # test mode or absent data
        (0xC000, INVALID, INVALID),  # PMU error, do not use
        (0x2000, TIME, TIME | REFERENCE),  # out of step with UTC
        (0x1000, TIME, TIME | REFERENCE),  # sorted by arrival
        (0x0F0F, 0, 0),  # trigger, configuration change, modified, reason
        (0x0140, 0, 0),  # within 1 ms
        (0x0180, TIME, TIME | REFERENCE),  # within 10 ms
        (0x01C0, TIME, TIME | REFERENCE),  # worse or unknown
        (0x0030, 0, 0),  # unlocked time is told by the sync bit
    ],
)
def test_stat_to_quality(stat: int, every: int, angle: int) -> None:
    assert STAT_FLAGS[stat] == int(every)
    assert STAT_ANGLE_FLAGS[stat] == int(angle)
    points = bound("FREQ", "VA.ang", "STAT", binary=["STAT.trigger"])
    found = decode(one(INTEGERS), points, frame(f"{stat:04x} 5a36 3d5c ffec ff6a fed4 0005"))
    # STAT itself is believed even when it says that nothing else is.
    assert found.qualities[0].tolist() == [int(every), int(angle), 0, 0]
    assert found.values[0, 2:].tolist() == [stat, bool(stat & 0x0800)]


def test_the_tables_are_total() -> None:
    assert len(STAT_FLAGS) == len(STAT_ANGLE_FLAGS) == 1 << 16
    assert len(TIME_FLAGS) == 256
    assert (STAT_FLAGS & STAT_ANGLE_FLAGS == STAT_FLAGS).all()


@pytest.mark.parametrize(
    ("octet", "flags"), [(0, 0), (7, 0), (8, TIME), (11, TIME), (12, TIME), (15, TIME), (LEAP_PENDING, 0), (0x6F, TIME)]
)
def test_the_time_quality_of_a_frame(octet: int, flags: int) -> None:
    found = decode(one(INTEGERS), ALL, frame("0000 5a36 3d5c ffec ff6a fed4 0005", time_quality=octet))
    assert (found.qualities == int(flags)).all()


def test_several_pmus_have_their_own_stat_and_channels() -> None:
    north = Pmu(name="North", id=1, format=INTEGERS, phasors=(Phasor(name="VA", factor=1.0),))
    south = Pmu(name="South", id=2, analogs=(Analog(name="P"),), nominal_hz=60)
    stream = Configuration(type=FrameType.CFG2, id=7, pmus=(north, south), time_base=0xFFFFFF)
    measured = [Measured.nothing(north), Measured.nothing(south)]
    measured[0].phasors[0], measured[1].analogs[0], measured[0].stat = (110.0, 0.5), 7.5, 0x8000
    points = [*bound("VA.mag", "FREQ", pmu="North"), *bound("P", "FREQ", pmu="2")]
    frames = [data_frame(stream, measured, soc=9, fraction=part) for part in (0, 0x555555)]
    found = decode(stream, points, *frames)
    assert found.values.tolist() == [[110.0, 50.0, 7.5, 60.0]] * 2
    assert found.qualities.tolist() == [[int(INVALID)] * 2 + [0, 0]] * 2
    assert found.times_ns == [9_000_000_000, 9_333_333_333]


@pytest.mark.parametrize(
    ("pmu", "channel", "why"),
    [
        ("Nord", "FREQ", r"no PMU Nord \(did you mean North\?\); it has: North \(id 1\), Twin \(id 2\), Twin \(id 3\)"),
        ("", "FREQ", "the stream has 3 PMUs, so the map must say which"),
        ("Twin", "FREQ", "2 PMUs Twin; name one by its id"),
        ("1", "VB.mag", "North has no phasor VB; it has: VA"),
        ("1", "Q", "North has no analog Q"),
        ("1", "PHASOR[2].ang", r"North has 1 of what PHASOR\[2\].ang counts"),
        ("2", "VA.mag", "2 channels VA; bind one by its number"),
    ],
)
def test_a_channel_that_is_not_there_is_told_by_name(pmu: str, channel: str, why: str) -> None:
    voltage = (Phasor(name="VA"),)
    pmus = (
        Pmu(name="North", id=1, phasors=voltage, analogs=(Analog(name="P"),)),
        Pmu(name="Twin", id=2, phasors=voltage * 2),
        Pmu(name="Twin", id=3),
    )
    decoder = Decoder(Configuration(type=FrameType.CFG2, id=7, pmus=pmus), bound(channel, pmu=pmu))
    (missing,) = decoder.missing
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(missing.why)
    assert len(decoder.rows) == 0
