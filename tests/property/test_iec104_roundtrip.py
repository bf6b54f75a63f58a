"""What is coded reads back, whatever it is and however the stream is cut."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from gateway.events import EVENT, EventQueue
from gateway.points import ALL_FLAGS
from protocols.iec104 import elements, quality, time56
from protocols.iec104.apci import FrameReader, IFrame, SFrame, U, UFrame, encode_i, encode_s, encode_u
from protocols.iec104.asdu import MAX_ASDU, Asdu, Run, capacity, pack_sequence, pack_singles, with_addresses
from protocols.iec104.bindings import layout
from protocols.iec104.elements import TYPES, Tag, TypeRow
from protocols.iec104.time56 import Zone
from protocols.iec104.values import Batch

MONITORED = [row for row in TYPES.values() if row.element.encode is not None]
LOW, HIGH = -1000.0, 1000.0
FLOAT_MAX = float(np.finfo(np.float32).max)
ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"])
VALUES = st.floats(allow_nan=True, allow_infinity=True)
DAY_NS = 86_400 * 10**9
TIMES = st.integers(2 * DAY_NS, 36_000 * DAY_NS)


def ranges(row: TypeRow) -> tuple[float, float, float]:
    """Smallest and largest value the type can say, and how exactly."""
    named = {
        "siq": (0, 1, 0.5),
        "diq": (0, 3, 0.5),
        "vti": (-64, 63, 0.5),
        "bsi": (0, 2**32 - 1, 0.5),
        "nva": (LOW, HIGH, (HIGH - LOW) / 65_536),
        "sva": (-(2**15), 2**15 - 1, 0.5),
        "bcr": (-(2**31), 2**31 - 1, 0.5),
        "r32": (-FLOAT_MAX, FLOAT_MAX, 0.0),
    }
    return named[row.element.fields[0][0]]


@pytest.mark.parametrize("row", MONITORED, ids=lambda row: row.name)
@settings(max_examples=25, deadline=None)
@given(points=st.lists(st.tuples(VALUES, st.integers(0, int(ALL_FLAGS)), TIMES), min_size=1, max_size=40), zone=ZONES)
def test_every_element_reads_back_or_says_that_it_is_not_right(
    row: TypeRow, points: list[tuple[float, int, int]], zone: str
) -> None:
    values, qualities, times = (np.array(column) for column in zip(*points, strict=True))
    qualities, times = qualities.astype(np.uint32), times.astype(np.int64)
    span = np.full(len(points), LOW), np.full(len(points), HIGH)
    octets = elements.encode(row, Batch(values, qualities, *span), times, Zone(zone))
    read = octets.reshape(-1).view(row.dtype)
    bits = elements.quality_bits(row, read)
    lowest, highest, exactness = ranges(row)
    for value, back, octet in zip(values, elements.values(row, read, *span), bits, strict=True):
        near = exactness if exactness == 0.5 else 0.0
        inside = lowest - near <= value <= highest + near
        exact = inside and row.element is elements.R32 and back == np.float32(value)
        same = inside and (exact or abs(back - value) <= exactness * 1.01 or row.element is elements.SIQ)
        doubtful = octet & (quality.IV | (quality.OV if row.element.quality_mask == 0xFF else 0))
        assert same or doubtful or not row.element.quality_field or row.element is elements.SIQ
    if row.tag is Tag.CP56:
        back_ns, invalid = elements.times(row, read, Zone(zone))
        assert np.array_equal(back_ns, times // 10**6 * 10**6)
        assert np.array_equal(invalid, quality.time_invalid(qualities))


@settings(max_examples=100, deadline=None)
@given(times=st.lists(TIMES, min_size=1, max_size=50), zone=ZONES)
def test_times_read_back_in_every_zone(times: list[int], zone: str) -> None:
    given_ns = np.array(times, np.int64)
    octets = time56.encode(given_ns, np.zeros(len(times), np.bool_), Zone(zone))
    back, _ = time56.decode(octets, Zone(zone))
    assert np.array_equal(back, given_ns // 10**6 * 10**6)


FRAMES = st.one_of(
    st.builds(UFrame, st.sampled_from(U)),
    st.builds(SFrame, st.integers(0, 32_767)),
    st.builds(IFrame, st.integers(0, 32_767), st.integers(0, 32_767), st.binary(min_size=1, max_size=249)),
)


@given(frames=st.lists(FRAMES, max_size=12), data=st.data())
def test_a_stream_of_frames_reads_the_same_however_it_is_cut(frames: list[object], data: st.DataObject) -> None:
    stream = b"".join(
        encode_i(frame.ssn, frame.rsn, frame.asdu)
        if isinstance(frame, IFrame)
        else encode_s(frame.rsn)
        if isinstance(frame, SFrame)
        else encode_u(frame.function)  # type: ignore[attr-defined]
        for frame in frames
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader = FrameReader()
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == frames


@pytest.mark.parametrize("row", MONITORED, ids=lambda row: row.name)
@settings(max_examples=15, deadline=None)
@given(ioas=st.sets(st.integers(1, 2_000), min_size=1, max_size=400), test=st.integers(0, 400))
def test_packed_objects_are_all_there_once_and_in_order(row: TypeRow, ioas: set[int], test: int) -> None:
    addresses = np.array(sorted(ioas), np.uint32)
    tests = np.zeros(len(addresses), np.bool_)
    tests[test:] = True
    coded = np.random.default_rng(1).integers(0, 256, (len(addresses), row.size)).astype(np.uint8)
    bare, full = coded.tobytes(), with_addresses(addresses, coded).tobytes()
    heard: list[tuple[int, bytes, bool]] = []
    for start, stop, sequence in layout(row, addresses, tests):
        run = Run(row, 3 | (0x80 if tests[start] else 0), 1, start, stop)
        packed = pack_sequence(run, int(addresses[start]), bare) if sequence else pack_singles(run, full)
        for raw, count in packed:
            asdu = Asdu.parse(raw)
            assert len(raw) <= MAX_ASDU
            assert count == asdu.count <= capacity(row, sequence)
            where, records = asdu.objects()
            heard += [(int(a), r.tobytes(), asdu.test) for a, r in zip(where, records, strict=True)]
    expected = zip(addresses.tolist(), (octets.tobytes() for octets in coded), tests.tolist(), strict=True)
    assert heard == list(expected)


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 30)),
    st.tuples(st.just("take"), st.integers(0, 30)),
    st.tuples(st.just("release"), st.integers(0, 30)),
    st.tuples(st.just("rewind"), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(capacity_=st.integers(1, 60), steps=st.lists(STEPS, max_size=60))
def test_the_queue_is_a_list_with_a_cursor(capacity_: int, steps: list[tuple[str, int]]) -> None:
    queue, flying, waiting, seq, lost = EventQueue(capacity_), list[int](), list[int](), 0, 0
    for step, number in steps:
        if step == "append":
            batch = np.zeros(number, EVENT)
            batch["seq"] = range(seq + 1, seq + number + 1)
            waiting += range(seq + 1, seq + number + 1)
            seq += number
            excess = max(0, len(flying) + len(waiting) - capacity_)
            waiting, lost = waiting[excess:], lost + excess
            queue.append(batch)
        elif step == "take":
            assert queue.take(number)["seq"].tolist() == waiting[:number]
            flying, waiting = flying + waiting[:number], waiting[number:]
        elif step == "release":
            confirmed = min(number, len(flying))
            queue.release(confirmed)
            flying = flying[confirmed:]
        else:
            queue.rewind()
            flying, waiting = [], flying + waiting
        assert (len(queue), queue.in_flight, queue.lost) == (len(flying) + len(waiting), len(flying), lost)
        held = flying + waiting
        assert queue.confirmed_seq == (held[0] - 1 if held else seq)
