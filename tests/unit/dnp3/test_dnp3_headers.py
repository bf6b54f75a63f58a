"""Object headers as a master writes them, what is refused and why, and blocks of objects gathered into fragments."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.dnp3 import headers, objects
from protocols.dnp3.application import (
    AppControl,
    Fragment,
    FragmentBuilder,
    Function,
    parse_fragment,
    response_control,
)
from protocols.dnp3.errors import FragmentError, ObjectUnknown, ParameterError, RequestError
from protocols.dnp3.headers import ObjectHeader, parse_headers, read_headers
from protocols.dnp3.iin import Iin
from protocols.dnp3.objects import OBJECTS, find, string_row
from protocols.dnp3.outputs import AnalogOutput, CommandStatus, Crob, TripClose, decode_output, with_statuses


def one(text: str, function: int = Function.READ) -> ObjectHeader:
    [header] = parse_headers(bytes.fromhex(text), function)
    assert header.raw.hex() == text.replace(" ", "")
    return header


def test_the_integrity_poll_of_every_master() -> None:
    found = parse_headers(bytes.fromhex("3c02063c03063c04063c0106"), Function.READ)
    assert [header.label for header in found] == ["g60v2", "g60v3", "g60v4", "g60v1"]
    assert all(header.all and not header.count for header in found)


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("1e05 00 0305", [3, 4, 5]),
        ("1e05 01 ff00 0101", [255, 256, 257]),
        ("1e05 17 02 0709", [7, 9]),
        ("1e05 28 0200 0700 e803", [7, 1000]),
        ("1e00 06", []),
        ("2000 07 05", []),
        ("2000 08 0001", []),
    ],
)
def test_a_read_names_points(text: str, indices: list[int]) -> None:
    assert one(text).indices.tolist() == indices


def test_a_limited_count_is_no_range() -> None:
    header = one("2000 08 0001")
    assert (header.counted, header.count, header.data) == (True, 256, b"")


def test_a_write_of_the_restart_bit() -> None:
    header = one("5001 00 0707 00", Function.WRITE)
    assert header.row is OBJECTS[80, 1]
    assert (header.start, header.stop, header.count, header.data) == (7, 7, 1, b"\0")


def test_a_select_carries_blocks_behind_their_indices() -> None:
    block = "41 01 64000000 c8000000 00"
    header = one(f"0c01 28 0200 0700 {block} e803 {block}", Function.SELECT)
    assert header.indices.tolist() == [7, 1000]
    crob = decode_output(header.group, header.variation, header.objects()[1].tobytes())
    assert crob == Crob(operation=1, trip_close=TripClose.CLOSE, count=1, on_ms=100, off_ms=200)


def test_the_echo_has_its_own_statuses() -> None:
    header = one("2902 17 02 07 2c01 00 09 2d01 00", Function.OPERATE)
    statuses = np.array([CommandStatus.SUCCESS, CommandStatus.OUT_OF_RANGE], np.uint8)
    echo = with_statuses(header.raw, header.group, header.variation, statuses)
    assert echo.hex() == "290217" + "02" + "072c0100" + "092d010c"


def test_a_freeze_at_a_time_carries_the_time_and_names_the_counters() -> None:
    found = parse_headers(bytes.fromhex("3202 0701 7b68e5cf8b01 00000000 1400 00 0001"), Function.FREEZE_AT_TIME)
    assert [(header.label, len(header.data), header.count) for header in found] == [("g50v2", 10, 1), ("g20v0", 0, 2)]


def test_attributes_say_their_own_length() -> None:
    [header] = parse_headers(bytes.fromhex("00fc 00 0000 01 03 414243"), Function.RESPONSE)
    assert (header.label, header.data) == ("g0v252", b"\x01\x03ABC")


@pytest.mark.parametrize(
    ("text", "function", "error"),
    [
        ("1e", Function.READ, ParameterError),  # no variation, no qualifier
        ("1e05 00 05", Function.READ, ParameterError),  # half a range
        ("1e05 00 0504", Function.READ, ParameterError),  # ends before it starts
        ("1e05 02 00000000 ffffffff", Function.READ, ParameterError),  # four-octet range
        ("1e05 07 00", Function.READ, ParameterError),  # none of them
        ("1e05 17 03 0709", Function.READ, ParameterError),  # one index short
        ("1e05 5b 01 0500", Function.READ, ParameterError),  # free format
        ("3c0106 3c04ed", Function.READ, ParameterError),  # a qualifier that is none
        ("0c01 17 02 07 4101 64000000 c8000000 00", Function.SELECT, ParameterError),  # two announced
        ("1e05 01 0000 ffff 00", Function.RESPONSE, ParameterError),  # 65,536 objects in one octet
        ("0101 17 01 07 01", Function.RESPONSE, ParameterError),  # packed behind an index
        ("0c09 17 01 07 00", Function.OPERATE, ObjectUnknown),
        ("6e00 17 01 07 00", Function.WRITE, ObjectUnknown),  # a string without a length
        ("00fc 00 0000 01 05 414243", Function.RESPONSE, ParameterError),  # attribute cut short
    ],
)
def test_what_cannot_be_read_is_refused_with_its_indication(
    text: str, function: int, error: type[RequestError]
) -> None:
    with pytest.raises(error) as caught:
        parse_headers(bytes.fromhex(text), function)
    assert caught.value.iin in (Iin.PARAMETER_ERROR, Iin.OBJECT_UNKNOWN)


def test_what_stood_before_a_mistake_is_known() -> None:
    found, octets, error = read_headers(bytes.fromhex("3c02063c0306 1e05ff"), Function.READ)
    assert ([header.label for header in found], octets) == (["g60v2", "g60v3"], 6)
    assert error is not None and error.iin is Iin.PARAMETER_ERROR


def test_a_fragment_has_a_header() -> None:
    request = parse_fragment(bytes.fromhex("c3013c0206"))
    assert request == Fragment(AppControl(3), Function.READ, None, b"\x3c\x02\x06")
    response = parse_fragment(bytes.fromhex("f5829008"))
    assert (response.control, response.iin) == (
        AppControl(5, con=True, uns=True),
        Iin.DEVICE_RESTART | Iin.NEED_TIME | Iin.EVENT_BUFFER_OVERFLOW,
    )
    assert response.encode().hex() == "f5829008"
    for octets in (b"", b"\xc0", b"\xc0\x81\x00"):
        with pytest.raises(FragmentError):
            parse_fragment(octets)


def test_the_fragments_of_a_response() -> None:
    controls = [response_control(position, position == 2, 15, events=False) for position in range(3)]
    assert [control.octet for control in controls] == [0xAF, 0x20, 0x41]
    assert response_control(0, last=True, first_seq=3, events=True).octet == 0xE3
    assert response_control(0, last=True, first_seq=3, events=False).octet == 0xC3


def analogs(count: int) -> objects.Octets:
    return objects.encode(OBJECTS[30, 5], np.arange(count, dtype=float), np.ones(count, np.uint8))


def test_a_long_range_is_cut_between_objects() -> None:
    builder = FragmentBuilder(2_048)
    builder.add_range(OBJECTS[30, 5], 0, analogs(10_000))
    payloads = builder.payloads()
    assert len(payloads) == 25
    assert max(len(payload.octets) for payload in payloads) <= 2_044
    found = [header for payload in payloads for header in parse_headers(payload.octets, Function.RESPONSE)]
    assert np.concatenate([header.indices for header in found]).tolist() == list(range(10_000))
    assert b"".join(header.data for header in found) == analogs(10_000).tobytes()


def test_gaps_in_the_indices_make_ranges() -> None:
    builder = FragmentBuilder()
    builder.add_sparse(OBJECTS[30, 5], np.array([1, 2, 3, 250, 300, 301]), analogs(6))
    [payload] = builder.payloads()
    found = parse_headers(payload.octets, Function.RESPONSE)
    assert [(h.qualifier, h.start, h.stop) for h in found] == [(0, 1, 3), (0, 250, 250), (1, 300, 301)]


def test_packed_states_are_cut_anywhere() -> None:
    row, states = OBJECTS[1, 1], np.random.default_rng(1).integers(0, 2, 40_000).astype(np.uint8)
    builder = FragmentBuilder(2_048)
    builder.add_range(row, 7, states.reshape(-1, 1))
    payloads = builder.payloads()
    found = [header for payload in payloads for header in parse_headers(payload.octets, Function.RESPONSE)]
    read = np.concatenate([objects.values(row, objects.decode(row, h.data, h.count)) for h in found])
    assert read.tolist() == states.tolist()
    assert [len(payload.octets) for payload in payloads[:-1]] == [2_044] * (len(payloads) - 1)


def test_events_are_counted_per_fragment_and_led_by_their_common_time() -> None:
    row, count = OBJECTS[2, 3], 1_000
    coded = objects.encode(row, np.ones(count), np.ones(count, np.uint8), np.arange(count), 0)
    builder = FragmentBuilder(500)
    builder.add_indexed(row, np.arange(count), coded, lead=objects.encode_cto(0, True))
    payloads = builder.payloads()
    assert sum(payload.events for payload in payloads) == count
    for payload in payloads:
        common, events = parse_headers(payload.octets, Function.RESPONSE)
        assert (common.label, events.label, events.count) == ("g51v1", "g2v3", payload.events)


def test_indices_and_counts_choose_the_qualifier() -> None:
    def qualifier(indices: list[int]) -> int:
        builder = FragmentBuilder()
        builder.add_indexed(OBJECTS[32, 5], np.array(indices), analogs(len(indices)))
        return builder.payloads()[0].octets[2]

    assert [qualifier([0, 255]), qualifier([0, 256]), qualifier([7] * 300)] == [0x17, 0x28, 0x28]


def test_nothing_to_say_is_one_empty_fragment() -> None:
    [payload] = FragmentBuilder().payloads()
    assert (payload.octets, payload.events) == (b"", 0)


def test_an_object_that_fits_no_fragment_is_a_mistake_of_ours() -> None:
    builder = FragmentBuilder(249)
    with pytest.raises(ValueError, match="fragments of 245"):
        builder.add_indexed(string_row(110, 255), np.array([0]), np.zeros((1, 255), np.uint8))
    with pytest.raises(ValueError, match="fragments of 245"):
        builder.add_block(bytes(246))


def test_the_variation_of_a_string_is_its_length() -> None:
    assert (string_row(110, 7).size, find(111, 12), find(110, 0)) == (7, string_row(111, 12), None)


def test_relative_times_need_a_new_common_time_beyond_65_seconds_and_backwards() -> None:
    times = np.array([1_000, 1_000, 66_535, 66_536, 66_000, 70_000])
    assert objects.relative_runs(times) == [(0, 3, 1_000), (3, 4, 66_536), (4, 6, 66_000)]


def test_a_value_that_does_not_fit_an_analog_output() -> None:
    with pytest.raises(ValueError, match="does not fit g41v2"):
        AnalogOutput(variation=2, value=40_000.0).encode()
    with pytest.raises(ParameterError):
        AnalogOutput.decode(5, bytes(5))


def test_every_row_is_in_order() -> None:
    for (group, variation), row in OBJECTS.items():
        assert (row.group, row.variation) == (group, variation)
        if row.flagged:
            assert OBJECTS[group, row.flagged].has_flags
        if row.event:
            assert not row.bits
    assert {0x00, 0x01, 0x06, 0x07, 0x08, 0x17, 0x28} == headers.QUALIFIERS
