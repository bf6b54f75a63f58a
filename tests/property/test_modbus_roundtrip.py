"""What a device paints, the driver reads; what the driver writes, a device reads; however it is laid out and cut up."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contracts import Report
from protocols.modbus import frame
from protocols.modbus.codec import Codec, encode
from protocols.modbus.device import DeviceImage
from protocols.modbus.plan import Limits, LinePlan
from protocols.modbus.scan import Scan, scans
from protocols.modbus.settings import SETTINGS
from tests.kit.modbuskit import source

RANGES = {
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**53), 2**53),
    "uint64": (0, 2**53),
}
WIDTH = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "int64": 4, "uint64": 4, "float32": 2, "float64": 4}
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")


@st.composite
def numbers(draw: st.DrawFn, kind: str) -> float:
    if kind == "float32":
        return draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    if kind == "float64":
        return draw(st.floats(allow_nan=False, allow_infinity=False))
    return float(draw(st.integers(*RANGES[kind])))


@st.composite
def maps(draw: st.DrawFn) -> tuple[LinePlan, list[float]]:
    """A device map without overlaps in any of the four tables, and a value for each point."""
    rows: list[dict[str, object]] = []
    values: list[float] = []
    for table in ("coil", "discrete", "input", "holding"):
        address = draw(st.integers(0, 40))
        for number in range(draw(st.integers(0, 12))):
            row: dict[str, object] = {"point": f"{table}{number}", "table": table, "address": address}
            if table in ("coil", "discrete"):
                double = draw(st.booleans())
                row |= {"kind": "double" if double else "binary"}
                values.append(float(draw(st.integers(0, 3 if double else 1))))
                address += 2
            elif draw(st.booleans()):
                row |= {
                    "kind": "binary",
                    "type": "uint16",
                    "bit": draw(st.integers(0, 15)),
                    "order": draw(st.sampled_from(ORDERS)),
                }
                values.append(float(draw(st.integers(0, 1))))
                address += 1
            else:
                wire = draw(st.sampled_from(sorted(WIDTH)))
                row |= {"kind": "analog", "type": wire, "order": draw(st.sampled_from(ORDERS))}
                values.append(draw(numbers(wire)))
                address += WIDTH[wire]
            rows.append(row)
            address += draw(st.integers(0, 20))
    plans = SETTINGS.compile(
        [source(rows, max_gap_registers=draw(st.integers(0, 15)), max_read_registers=draw(st.integers(4, 125)))],
        Report(),
    )
    return plans[0], values


def read_all(scan: Scan, device: DeviceImage) -> None:
    """One pass, the device answering every request."""
    limit = 2000
    while not scan.finished:
        limit -= 1
        assert limit, "a pass must end"
        request = scan.request()
        try:
            scan.take(request.data(device.answer(request.pdu)), 1)
        except frame.Refusal:
            scan.refuse()


@settings(max_examples=60, deadline=None)
@given(maps())
def test_what_a_device_shows_is_what_is_read(given_map: tuple[LinePlan, list[float]]) -> None:
    plan, values = given_map
    unit = plan.units[0]
    device = DeviceImage(unit, lambda *_: None)
    device.paint(np.array(values))
    read: dict[int, float] = {}
    for scan in scans(unit.bindings, unit.limits):
        read_all(scan, device)
        batch = scan.batch()
        assert batch is not None
        rows, found, qualities, _ = batch
        assert not qualities.any()
        read |= dict(zip(rows.tolist(), found.tolist(), strict=True))
    assert read == dict(enumerate(values))


@settings(max_examples=60, deadline=None)
@given(maps(), st.data())
def test_refused_addresses_cost_only_the_points_on_them(
    given_map: tuple[LinePlan, list[float]], data: st.DataObject
) -> None:
    plan, values = given_map
    unit = plan.units[0]
    bindings = unit.bindings
    device = DeviceImage(unit, lambda *_: None)
    device.paint(np.array(values))
    for image in device.tables.values():
        image.strict = data.draw(st.booleans())
        image.refused = data.draw(st.sets(st.integers(0, max(len(image.mapped), 1)), max_size=4))
    well = [
        not device.tables[t].refused & set(range(a, a + w))
        for t, a, w in zip(bindings.table.tolist(), bindings.address.tolist(), bindings.width.tolist(), strict=True)
    ]
    for scan in scans(bindings, unit.limits):
        read_all(scan, device)
        batch = scan.batch()
        rows = [] if batch is None else batch[0].tolist()
        assert rows == [row for row in range(len(values)) if well[row]]
        assert batch is None or batch[1].tolist() == [values[row] for row in rows]
        assert scan.refused().tolist() == [row for row in range(len(values)) if not well[row]]


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(sorted(WIDTH)), st.sampled_from(ORDERS))
def test_what_is_written_is_what_a_device_understands(data: st.DataObject, wire: str, order: str) -> None:
    value = data.draw(numbers(wire))
    row = {"point": "x", "kind": "setpoint", "table": "holding", "address": 0, "type": wire, "order": order}
    bindings = SETTINGS.compile([source([row])], Report())[0].units[0].bindings
    wired = encode(bindings, 0, value)
    codec = Codec(bindings, np.zeros(1, np.int64))
    assert codec.decode(np.frombuffer(wired, np.uint8), np.zeros(1))[0].tolist() == [value]


CODES = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}


@given(st.sampled_from(sorted(CODES)), st.data())
def test_big_endian_is_what_struct_says(wire: str, data: st.DataObject) -> None:
    value = data.draw(numbers(wire))
    row = {"point": "x", "kind": "setpoint", "table": "holding", "address": 0, "type": wire}
    bindings = SETTINGS.compile([source([row])], Report())[0].units[0].bindings
    number = value if wire.startswith("f") else int(value)
    assert encode(bindings, 0, value) == struct.pack(f">{CODES[wire]}", number)


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.integers(1, 247), st.binary(min_size=1, max_size=253)), max_size=4),
    st.data(),
)
def test_an_answer_is_found_however_the_stream_is_cut(
    others: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    wanted = (70000 % 65536, 5, b"\x03\x02\x00\x07")
    strays = [frame.mbap_frame(*other) for other in others if other[:2] != wanted[:2]]
    stream = b"".join(strays) + frame.mbap_frame(*wanted)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=6)) | {len(stream)})
    buffer, start, found, seen = b"", 0, None, []
    for cut in cuts:
        buffer += stream[start:cut]
        start = cut
        used, found = frame.match_mbap(buffer, wanted[1], wanted[0], lambda *stray: seen.append(stray))
        buffer = buffer[used:]
        assert (found is not None) == (cut == len(stream))
    assert found == wanted[2]
    assert len(seen) == len(strays)


@settings(deadline=None)
@given(st.sets(st.integers(0, 3000), min_size=1, max_size=200), st.integers(0, 30), st.integers(1, 125))
def test_a_plan_covers_every_point_within_the_limits(addresses: set[int], gap: int, size: int) -> None:
    rows = [
        {"point": f"p{a}", "kind": "analog", "table": "input", "address": a, "type": "uint16"}
        for a in sorted(addresses)
    ]
    bindings = SETTINGS.compile([source(rows)], Report())[0].units[0].bindings
    (scan,) = scans(bindings, Limits(gap=gap, registers=size))
    covered: set[int] = set()
    for block in scan.blocks:
        start, count = struct.unpack(">HH", block.request.pdu[1:])
        assert count <= size
        mine = addresses & set(range(start, start + count))
        assert start in mine and start + count - 1 in mine
        gaps = np.diff(sorted(mine))
        assert (gaps <= gap + 1).all()
        assert not covered & mine
        covered |= mine
    assert covered == addresses
