"""What is coded reads back, whatever it is and however the stream is cut; nothing wrong says ONLINE."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from protocols.dnp3 import headers, objects, time48
from protocols.dnp3.application import AppControl, Fragment, FragmentBuilder, Function, parse_fragment, response_control
from protocols.dnp3.crc import block_crcs, crc
from protocols.dnp3.headers import parse_headers
from protocols.dnp3.iin import Iin
from protocols.dnp3.link import LinkFrame, LinkReader
from protocols.dnp3.objects import OBJECTS, Coding, ObjectRow
from protocols.dnp3.outputs import AnalogOutput, Crob, TripClose, with_statuses
from protocols.dnp3.quality import ONLINE
from protocols.dnp3.transport import Reassembler, encode_fragment

VALUED = [row for row in OBJECTS.values() if row.coding not in (Coding.NONE, Coding.RECORD)]
FLAGGED = [row for row in VALUED if row.has_flags]
UNPACKED = [row for row in VALUED if not row.bits]
VALUES = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-70_000, 70_000).map(float))
TIMES = st.integers(0, time48.MAX_MS)
FRAMES = st.builds(
    LinkFrame, st.integers(0, 255), st.integers(0, 65_535), st.integers(0, 65_535), st.binary(max_size=250)
)


def label(row: ObjectRow) -> str:
    return row.label


def says(row: ObjectRow, value: float, read: float) -> bool:
    """Whether `read` is what the variation can say of `value`."""
    if row.coding is Coding.STATE:
        return np.isfinite(value) and read == (value != 0)
    if row.coding is Coding.FLOAT:
        with np.errstate(over="ignore"):
            exact = value if row.high > 1e100 else np.float32(value)
        return np.isfinite(exact) and read == exact
    return row.low - 0.5 <= value < row.high + 0.5 and abs(read - value) <= 0.5  # half above the highest rounds up


@pytest.mark.parametrize("row", FLAGGED, ids=label)
@settings(max_examples=25, deadline=None)
@given(points=st.lists(st.tuples(VALUES, st.integers(0, 0x1F), TIMES), min_size=1, max_size=40))
def test_an_object_reads_back_or_says_that_it_is_not_right(
    row: ObjectRow, points: list[tuple[float, int, int]]
) -> None:
    values, flags, times = (np.array(column) for column in zip(*points, strict=True))
    flags = flags.astype(np.uint8)
    octets = objects.encode(row, values.astype(float), flags, times)
    records = objects.decode(row, octets.tobytes(), len(points))
    written = objects.flags(row, records)
    for value, given_flags, read, octet in zip(values, flags, objects.values(row, records), written, strict=True):
        assert np.isfinite(read)
        if octet == ONLINE:
            assert says(row, value, read)
        if says(row, value, read):
            assert octet == given_flags
        assert not octet & ~given_flags & ONLINE
    if row.has_time and not row.relative_time:
        back = objects.times_ms(row, records)
        assert back is not None and back.tolist() == times.tolist()


@pytest.mark.parametrize("row", UNPACKED, ids=label)
@settings(max_examples=10, deadline=None)
@given(octets=st.data())
def test_whatever_octets_are_read(row: ObjectRow, octets: st.DataObject) -> None:
    count = octets.draw(st.integers(0, 5))
    data = octets.draw(st.binary(min_size=count * row.size, max_size=count * row.size))
    records = objects.decode(row, data, count)
    assert len(objects.values(row, records)) == len(objects.flags(row, records)) == count
    if row.has_time:
        back = objects.times_ms(row, records)
        assert back is not None and len(back) == count


@pytest.mark.parametrize("row", VALUED, ids=label)
def test_a_signalling_nan_is_a_nan(row: ObjectRow) -> None:
    values = np.frombuffer(bytes.fromhex("010000000000f07f") * 2, "<f8")
    coded = objects.encode(row, values, np.ones(2, np.uint8), np.zeros(2, np.int64))
    if row.has_flags:
        assert not objects.flags(row, objects.decode(row, coded.tobytes(), 2))[0] & ONLINE


def test_a_signalling_nan_from_a_master_is_a_nan() -> None:
    row = OBJECTS[34, 3]
    assert np.isnan(objects.values(row, objects.decode(row, bytes.fromhex("0000817f"), 1))).all()


@given(group=st.sampled_from([1, 3, 10]), states=st.lists(st.integers(0, 3), max_size=70))
def test_packed_states_read_back(group: int, states: list[int]) -> None:
    row = OBJECTS[group, 1]
    given_states = np.array(states, np.uint8) & ((1 << row.bits) - 1)
    data = objects.pack(row, given_states)
    assert len(data) == row.octets(len(states))
    assert objects.values(row, objects.decode(row, data, len(states))).tolist() == given_states.tolist()


@given(times=st.lists(st.integers(-(2**62), 2**62), max_size=20))
def test_times_read_back_or_stand_at_the_nearest(times: list[int]) -> None:
    back = time48.decode(time48.encode(np.array(times, np.int64)))
    assert back.tolist() == [min(max(time, 0), time48.MAX_MS) for time in times]
    assert [time48.decode_one(time48.encode_one(time)) for time in times] == back.tolist()


@given(times=st.lists(st.integers(0, 200_000), max_size=60))
def test_relative_runs_cover_everything_once_within_reach(times: list[int]) -> None:
    runs = objects.relative_runs(np.array(times, np.int64))
    assert [at for start, stop, _ in runs for at in range(start, stop)] == list(range(len(times)))
    for start, stop, base in runs:
        assert all(0 <= time - base <= 65_535 for time in times[start:stop])


@given(blocks=st.lists(st.binary(min_size=1, max_size=16), min_size=1, max_size=30))
def test_the_code_of_many_blocks_is_that_of_each(blocks: list[bytes]) -> None:
    table = np.frombuffer(b"".join(block.rjust(16, b"\0") for block in blocks), np.uint8).reshape(-1, 16)
    assert block_crcs(table).tolist() == [crc(block) for block in blocks]


@settings(deadline=None)
@given(frames=st.lists(FRAMES, max_size=6), data=st.data())
def test_a_stream_of_frames_reads_the_same_however_it_is_cut(frames: list[LinkFrame], data: st.DataObject) -> None:
    stream = b"".join(frame.encode() for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader = LinkReader()
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == frames
    assert (reader.bad, reader.skipped) == (0, 0)


@settings(deadline=None)
@given(noise=st.binary(max_size=40), frames=st.lists(FRAMES, min_size=2, max_size=4), step=st.integers(1, 30))
def test_noise_is_skipped_and_costs_no_later_frame(noise: bytes, frames: list[LinkFrame], step: int) -> None:
    # Noise that ends like the start of a frame may swallow octets; what stands in them is found again.
    reader = LinkReader()
    stream = noise + b"".join(frame.encode() for frame in frames) + bytes(300)
    found = [frame for at in range(0, len(stream), step) for frame in reader.feed(stream[at : at + step])]
    assert found == frames


@settings(max_examples=60, deadline=None)
@given(fragment=st.binary(min_size=1, max_size=2_048), seq=st.integers(0, 63), dest=st.integers(0, 65_535))
def test_a_fragment_of_any_length_arrives_whole(fragment: bytes, seq: int, dest: int) -> None:
    octets, following = encode_fragment(fragment, dest, 10, seq)
    frames, reassembler = LinkReader().feed(octets), Reassembler(2_048)
    found = [reassembler.receive(frame.data) for frame in frames]
    assert (found[-1], found[:-1]) == (fragment, [None] * (len(frames) - 1))
    assert following == (seq + len(frames)) % 64
    assert b"".join(frame.encode() for frame in frames) == octets


@given(
    control=st.builds(AppControl, st.integers(0, 15), st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    function=st.integers(0, 255),
    iin=st.integers(0, 0xFFFF),
    payload=st.binary(max_size=30),
)
def test_a_fragment_header_reads_back(control: AppControl, function: int, iin: int, payload: bytes) -> None:
    fragment = Fragment(control, function, Iin(iin) if function > 128 else None, payload)
    assert parse_fragment(fragment.encode()) == fragment


SIZED = [row for row in OBJECTS.values() if row.size]


@settings(max_examples=80, deadline=None)
@given(
    row=st.sampled_from(SIZED),
    max_size=st.integers(249, 2_048),
    indices=st.lists(st.integers(0, 65_535), min_size=1, max_size=600),
    lead=st.sampled_from([b"", objects.encode_cto(1_700_000_000_123, True)]),
)
def test_indexed_objects_are_all_there_once_and_in_order(
    row: ObjectRow, max_size: int, indices: list[int], lead: bytes
) -> None:
    coded = np.random.default_rng(1).integers(0, 256, (len(indices), row.size)).astype(np.uint8)
    builder = FragmentBuilder(max_size)
    builder.add_indexed(row, np.array(indices), coded, lead)
    payloads = builder.payloads()
    heard: list[tuple[int, bytes]] = []
    for payload in payloads:
        assert len(payload.octets) <= max_size - 4
        found = [h for h in parse_headers(payload.octets, Function.RESPONSE) if h.indexed]
        assert payload.events == (sum(h.count for h in found) if row.event else 0)
        heard += [(int(i), o.tobytes()) for h in found for i, o in zip(h.indices, h.objects(), strict=True)]
    assert heard == [(index, octets.tobytes()) for index, octets in zip(indices, coded, strict=True)]


@settings(max_examples=80, deadline=None)
@given(
    row=st.sampled_from([row for row in OBJECTS.values() if row.kind == "static"]),
    max_size=st.integers(249, 2_048),
    indices=st.sets(st.integers(0, 2_000), min_size=1, max_size=600),
    high=st.booleans(),
)
def test_static_objects_are_all_there_once_and_in_order(
    row: ObjectRow, max_size: int, indices: set[int], high: bool
) -> None:
    rising = np.array(sorted(indices)) + (63_000 if high else 0)
    states = np.random.default_rng(2).integers(0, 2, len(rising)).astype(float)
    coded = objects.encode(row, states, np.ones(len(rising), np.uint8), np.arange(len(rising)))
    builder = FragmentBuilder(max_size)
    builder.add_sparse(row, rising, coded)
    payloads = builder.payloads()
    found = [h for payload in payloads for h in parse_headers(payload.octets, Function.RESPONSE)]
    assert all(len(payload.octets) <= max_size - 4 for payload in payloads)
    assert np.concatenate([h.indices for h in found]).tolist() == rising.tolist()
    read = [objects.values(row, objects.decode(row, h.data, h.count)) for h in found]
    assert np.concatenate(read).tolist() == states.tolist()


@given(first=st.integers(0, 15), total=st.integers(1, 40), events=st.booleans())
def test_a_response_of_many_fragments_is_one_chain(first: int, total: int, events: bool) -> None:
    chain = [response_control(position, position == total - 1, first, events) for position in range(total)]
    assert [c.fir for c in chain] == [True] + [False] * (total - 1)
    assert [c.fin for c in chain] == [False] * (total - 1) + [True]
    assert [c.seq for c in chain] == [(first + position) % 16 for position in range(total)]
    assert [c.con for c in chain] == [True] * (total - 1) + [events]


CROBS = st.builds(
    Crob,
    operation=st.integers(0, 15),
    trip_close=st.sampled_from(TripClose),
    queue=st.booleans(),
    clear=st.booleans(),
    count=st.integers(0, 255),
    on_ms=st.integers(0, 2**32 - 1),
    off_ms=st.integers(0, 2**32 - 1),
    status=st.integers(0, 255),
)


@given(blocks=st.lists(CROBS, min_size=1, max_size=20), wide=st.booleans(), status=st.integers(0, 127))
def test_control_blocks_read_back_and_are_echoed(blocks: list[Crob], wide: bool, status: int) -> None:
    coded = np.frombuffer(b"".join(block.encode() for block in blocks), np.uint8).reshape(len(blocks), 11)
    prefixed = headers.with_prefixes(np.arange(len(blocks)), coded, wide)
    raw = headers.prefix_head(12, 1, len(blocks), wide) + prefixed.tobytes()
    [header] = parse_headers(raw, Function.OPERATE)
    assert [Crob.decode(octets.tobytes()) for octets in header.objects()] == blocks
    echo = with_statuses(header.raw, 12, 1, np.full(len(blocks), status, np.uint8))
    [back] = parse_headers(echo, Function.RESPONSE)
    echoed = [Crob.decode(octets.tobytes()) for octets in back.objects()]
    assert all(block.same_request(other) for block, other in zip(blocks, echoed, strict=True))
    assert {block.status for block in echoed} == {status}


@given(variation=st.integers(1, 4), value=st.integers(-32_768, 32_767), status=st.integers(0, 255))
def test_analog_outputs_read_back(variation: int, value: int, status: int) -> None:
    block = AnalogOutput(variation=variation, value=float(value), status=status)
    assert AnalogOutput.decode(variation, block.encode()) == block
