"""Any signal anywhere in a frame: decoded and encoded as cantools does it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cantools.database
import pytest
from cantools.database.can import Database, Message, Signal
from cantools.database.conversion import BaseConversion
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from protocols.can import dbc
from protocols.can.decode import Decoder
from protocols.can.encode import number_of, raw_limits, raw_of
from protocols.can.plan import Frame
from tests.kit.cankit import bus, every_signal, foxbms, source, values_by_row


@pytest.fixture(scope="module")
def fox() -> tuple[Any, Any, list[str]]:
    database = cantools.database.load_file(foxbms())
    rows = every_signal(database)
    return database, bus(source(foxbms(), rows)), [row["point"] for row in rows]


def read(message: Any, data: bytes) -> dict[str, float]:
    """What cantools reads, by MESSAGE/SIGNAL; nothing when it refuses the frame."""
    try:
        found = message.decode(data, decode_choices=False)
    except cantools.database.DecodeError:
        return {}
    return {f"{message.name}/{name}": float(value) for name, value in found.items()}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms(use_true_random=False), size=st.integers(1, 60))
def test_random_frames_of_foxbms_in_any_batch(fox: tuple[Any, Any, list[str]], random: Any, size: int) -> None:
    database, plan, names = fox
    frames: list[Frame] = []
    want: list[tuple[int, dict[str, float]]] = []
    for number in range(size):
        message = random.choice(database.messages)
        data = bytearray(random.randbytes(message.length))
        for selector in (each for each in message.signals if each.is_multiplexer):
            ids = [i for each in message.signals for i in each.multiplexer_ids or ()]
            if ids:
                dbc.field_of(selector).write(data, random.choice(ids))
        frames.append((message.frame_id, bytes(data), number))
        want.append((number, read(message, bytes(data))))
    got: dict[int, dict[str, float]] = {}
    for rows, values, qualities, times in Decoder(plan).take(frames):
        assert not qualities.any()
        for row, value, time_ns in zip(rows.tolist(), values.tolist(), times.tolist(), strict=True):
            got.setdefault(time_ns, {})[names[row]] = value
    read_by_both = {number: found for number, found in want if found}
    assert {number: found for number, found in got.items() if number in read_by_both} == read_by_both


@st.composite
def signals(draw: st.DrawFn) -> tuple[Signal, int]:
    """(a signal anywhere, length of its message)."""
    size = draw(st.integers(1, 8))
    big, floating = draw(st.booleans()), draw(st.booleans())
    length = draw(st.sampled_from([32, 64]) if floating else st.integers(1, 64))
    assume(length <= 8 * size)
    at = draw(st.integers(0, 8 * size - length))
    start = 8 * (at // 8) + 7 - at % 8 if big else at
    scale = draw(st.sampled_from([1, 2, 0.1, -0.5, 1e-3, 7]))
    offset = draw(st.sampled_from([0, -40, 1000, 0.25]))
    conversion = BaseConversion.factory(scale, offset, None, floating)
    order: Any = "big_endian" if big else "little_endian"
    signed = draw(st.booleans()) and not floating
    return Signal("S", start, length, byte_order=order, is_signed=signed, conversion=conversion), size


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=signals(), data=st.binary(min_size=8, max_size=8))
def test_any_one_signal(tmp_path_factory: pytest.TempPathFactory, made: tuple[Signal, int], data: bytes) -> None:
    signal, size = made
    message = Message(1, "M", size, [signal], strict=True)
    plan = _plan(tmp_path_factory.getbasetemp(), message)
    want = float(message.decode(data[:size])["S"])  # type: ignore[index,arg-type]
    ((value, quality),) = values_by_row(Decoder(plan).take([(1, data[:size], 1)])).values()
    field = dbc.field_of(signal)
    if not math.isfinite(want):
        assert quality
        return
    raw = field.read(data[:size])
    number = number_of(field, raw)
    assert value == number * signal.scale + signal.offset
    if field.floating or max(abs(number), abs(want)) <= 2**53:
        assert value == want
    else:
        # cantools calculates with whole numbers of any size and rounds once; here each of three steps rounds.
        assert abs(value - want) <= 2 * math.ulp(want)
    if raw <= 2**53 or field.floating:
        again = bytearray(data[:size])
        field.write(again, raw_of(field, number))
        assert again == data[:size]


def test_beyond_53_bits_a_number_is_the_nearest_double_scaled_and_shifted_in_doubles(tmp_path: Path) -> None:
    conversion = BaseConversion.factory(1, 1000, None, False)
    message = Message(1, "M", 8, [Signal("S", 0, 57, conversion=conversion)], strict=True)
    decoder = Decoder(_plan(tmp_path, message))
    for raw in (2**53 - 1001, 2**56 + 1, 2**57 - 1):
        ((value, quality),) = values_by_row(decoder.take([(1, raw.to_bytes(8, "little"), 1)])).values()
        assert (value, quality) == (float(raw) + 1000.0, 0)
        assert abs(int(value) - (raw + 1000)) <= math.ulp(value)


def _plan(folder: Path, message: Message) -> Any:
    path = folder / "one.dbc"
    path.write_text(Database([message]).as_dbc_string())
    return bus(source(path, [{"point": "s", "kind": "analog", "message": "M", "signal": "S"}]))


@given(length=st.integers(1, 64), signed=st.booleans(), big=st.booleans(), data=st.data())
def test_what_is_written_is_read_and_nothing_else_changes(
    length: int, signed: bool, big: bool, data: st.DataObject
) -> None:
    field = dbc.Field(data.draw(st.integers(0, 64 - length)), length, big, signed)
    low, high = raw_limits(field)
    raw = data.draw(st.integers(low, high))
    before = data.draw(st.binary(min_size=8, max_size=8))
    frame = bytearray(before)
    field.write(frame, raw)
    assert field.read(frame) == raw & field.mask
    field.write(frame, field.read(before))
    assert frame == before
