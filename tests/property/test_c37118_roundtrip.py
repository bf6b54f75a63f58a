"""Whatever a PMU's configuration and values: what is encoded is decoded, in any chunks and batches."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.c37118.channel import parse_channel
from protocols.c37118.configuration import Analog, Assembler, Configuration, Digital, Format, Phasor, Placing, Pmu
from protocols.c37118.configurationframes import encode
from protocols.c37118.decode import Decoder
from protocols.c37118.encode import Measured, data_frame
from protocols.c37118.frame import FrameType, Splitter
from protocols.c37118.plan import Binding
from protocols.c37118.sequence import Sequence

NAMES = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), max_size=16)
LONG_NAMES = st.text(st.characters(exclude_categories=("C", "Z")), max_size=40)
FLOAT32 = st.floats(width=32, allow_nan=False)
FACTORS = st.integers(1, 0xFFFFFF).map(lambda counts: counts / 100_000)
FORMATS = st.builds(
    Format, float_frequency=st.booleans(), float_analogs=st.booleans(), float_phasors=st.booleans(), polar=st.booleans()
)


def digitals(names: st.SearchStrategy[str]) -> st.SearchStrategy[Digital]:
    words = st.integers(0, 0xFFFF)
    bits = st.lists(names, min_size=16, max_size=16).map(tuple)
    return st.builds(Digital, names=bits, normal=words, valid=words)


def pmus(kind: FrameType) -> st.SearchStrategy[Pmu]:
    short = kind is not FrameType.CFG3
    names = NAMES if short else LONG_NAMES
    phasors = (
        st.builds(Phasor, name=names, factor=FACTORS, flags=st.sampled_from([0, 0x0800]))
        if short
        else st.builds(Phasor, name=names, factor=FLOAT32, flags=st.integers(0, 2**32 - 1), angle_rad=FLOAT32)
    )
    analogs = (
        st.builds(Analog, name=names, unit=st.integers(0, 2**32 - 1))
        if short
        else st.builds(Analog, name=names, factor=FLOAT32, offset=FLOAT32)
    )
    placing = st.builds(Placing, global_id=st.binary(min_size=16, max_size=16), latitude_deg=FLOAT32)
    return st.builds(
        Pmu,
        name=names,
        id=st.integers(0, 0xFFFF),
        format=FORMATS,
        phasors=st.lists(phasors, max_size=3).map(tuple),
        analogs=st.lists(analogs, max_size=3).map(tuple),
        digitals=st.lists(digitals(names), max_size=2).map(tuple),
        nominal_hz=st.sampled_from([50, 60]),
        changes=st.integers(0, 0xFFFF),
        placing=st.just(Placing()) if short else placing,
    )


def streams(kind: FrameType) -> st.SearchStrategy[Configuration]:
    return st.builds(
        Configuration,
        type=st.just(kind),
        id=st.integers(0, 0xFFFF),
        pmus=st.lists(pmus(kind), min_size=1, max_size=3).map(tuple),
        time_base=st.integers(1, 0xFFFFFF),
        rate=st.integers(-32767, 32767).filter(bool),
    )


ANY_STREAM = st.sampled_from([FrameType.CFG1, FrameType.CFG2, FrameType.CFG3]).flatmap(streams)


@settings(max_examples=60, deadline=None)
@given(ANY_STREAM, st.integers(20, 2000))
def test_a_configuration_comes_back_as_it_went(found: Configuration, most: int) -> None:
    assembler = Assembler()
    *first, last = [assembler.take(frame) for frame in encode(found, most=most)]
    assert first == [None] * len(first)
    assert last == found


@settings(max_examples=60, deadline=None)
@given(ANY_STREAM, st.lists(st.integers(1, 200), max_size=40))
def test_any_chunking_gives_the_same_frames(found: Configuration, sizes: list[int]) -> None:
    measured = [Measured.nothing(pmu) for pmu in found.pmus]
    frames = [
        *encode(found),
        data_frame(found, measured, soc=1, fraction=0),
        data_frame(found, measured, soc=2, fraction=0),
    ]
    octets, splitter, got = b"".join(frames), Splitter(), []
    for size in sizes:
        got += splitter.feed(octets[:size])
        octets = octets[size:]
    assert got + splitter.feed(octets) == frames


def channels(pmu: Pmu) -> list[tuple[str, bool]]:
    """Every channel of a PMU by number, and whether it is a bit."""
    phasors = [(f"PHASOR[{n + 1}].{part}", False) for n in range(len(pmu.phasors)) for part in ("mag", "ang")]
    analogs = [(f"ANALOG[{n + 1}]", False) for n in range(len(pmu.analogs))]
    bits = [(f"DIGITAL[{n + 1}].{bit}", True) for n in range(len(pmu.digitals)) for bit in range(16)]
    return [("FREQ", False), ("DFREQ", False), ("STAT", False), *phasors, *analogs, *bits]


SMALL = st.floats(-30, 30, width=32)


@st.composite
def spoken(draw: st.DrawFn) -> tuple[Configuration, list[list[Measured]]]:
    """A stream whose factors keep values within 16 bits, and a few frames of it."""
    kind = draw(st.sampled_from([FrameType.CFG2, FrameType.CFG3]))
    plain = replace(draw(streams(kind)), time_base=1_000_000)
    made = []
    for number, pmu in enumerate(plain.pmus):
        phasors = tuple(replace(each, factor=0.5, angle_rad=draw(st.sampled_from([0.0, 0.5]))) for each in pmu.phasors)
        if kind is FrameType.CFG2:
            phasors = tuple(replace(each, angle_rad=0.0) for each in phasors)
        analogs = tuple(replace(each, factor=0.25, offset=1.0) for each in pmu.analogs)
        words = tuple(replace(each, valid=0) for each in pmu.digitals)
        made.append(replace(pmu, name=f"P{number}", phasors=phasors, analogs=analogs, digitals=words))
    found = replace(plain, pmus=tuple(made))
    frames = [
        [
            Measured(
                stat=draw(st.integers(0, 0xFFFF)),
                phasors=[(draw(st.floats(1, 1000)), draw(st.floats(-3.1, 3.1))) for _ in pmu.phasors],
                frequency_hz=pmu.nominal_hz + draw(SMALL),
                rocof_hz_per_s=draw(SMALL),
                analogs=[draw(SMALL) for _ in pmu.analogs],
                digitals=[draw(st.integers(0, 0xFFFF)) for _ in pmu.digitals],
            )
            for pmu in found.pmus
        ]
        for _ in range(draw(st.integers(1, 3)))
    ]
    return found, frames


def expected(pmu: Pmu, values: Measured) -> list[float]:
    phasors = [part for magnitude, angle in values.phasors for part in (magnitude, math.degrees(angle))]
    bits = [float(word >> bit & 1) for word in values.digitals for bit in range(16)]
    return [values.frequency_hz, values.rocof_hz_per_s, float(values.stat), *phasors, *values.analogs, *bits]


@settings(max_examples=60, deadline=None)
@given(spoken())
def test_values_come_back_within_what_their_format_can_tell(story: tuple[Configuration, list[list[Measured]]]) -> None:
    found, frames = story
    bindings, wanted = [], []
    for pmu in found.pmus:
        for text, bit in channels(pmu):
            channel = parse_channel(text, bit)
            bindings.append(Binding(row=len(bindings), name=text, pmu=pmu.name, channel=channel))
    for measured in frames:
        wanted.append([value for pmu, each in zip(found.pmus, measured, strict=True) for value in expected(pmu, each)])
    octets = [data_frame(found, each, soc=9, fraction=n) for n, each in enumerate(frames)]
    decoder = Decoder(found, bindings)
    assert not decoder.missing
    batch, stats = decoder.decode(octets)
    difference = np.abs(batch.values - np.array(wanted))
    angles = np.array(["ang" in binding.name for binding in bindings])
    difference[:, angles] = np.abs((difference[:, angles] + 180) % 360 - 180)
    # A rectangular phasor of 1 V in counts of 0.5 V turns by up to 45 degrees; everything else by half a count.
    coarse = [not pmu.format.polar and not pmu.format.float_phasors for pmu in found.pmus for _ in channels(pmu)]
    limit = np.where(angles, np.where(coarse, 46.0, 0.01), 0.6)
    assert (difference <= limit).all()
    assert stats.tolist() == [[each.stat for each in measured] for measured in frames]
    for number, frame in enumerate(octets):
        single = Decoder(found, bindings, dict(enumerate(batch.values[number - 1].tolist())) if number else None)
        np.testing.assert_array_equal(single.decode([frame])[0].values[0], batch.values[number])


@given(st.lists(st.integers(-3, 5), max_size=60), st.sampled_from([10, 25, 30, 50, 60, 100]))
def test_every_frame_is_taken_dropped_or_counted(steps: list[int], rate: int) -> None:
    """Frames on the grid, in any order within what can be overtaken: the newest time never goes back."""
    counters: Counter[str] = Counter()
    sequence = Sequence(1 / rate, counters)
    number, newest, taken = 1000, None, []
    for step in steps:
        number += step
        if sequence.takes(number * 1_000_000_000 // rate):
            taken.append(number)
        newest = number if newest is None else max(newest, number)
    if not counters["time_steps"]:
        assert taken == sorted(set(taken))
        assert len(taken) + counters["out_of_order"] + counters["duplicates"] == len(steps)
        if newest is not None:
            assert len(taken) + counters["frames_lost"] == newest - taken[0] + 1
