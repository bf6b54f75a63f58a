"""The codec against `struct`, and against byte sequences written out by hand."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from gateway.points import Quality
from protocols.modbus.codec import Codec, Unencodable, encode
from tests.kit.modbuskit import line


def image(*data: int) -> np.ndarray:
    return np.array(data, np.uint8)


def decode(rows: str, data: np.ndarray, last: float = 0.0) -> tuple[list[float], list[int]]:
    """Decode a device map whose addresses count from the image's first register (or bit)."""
    bindings = line(rows).units[0].bindings
    codec = Codec(bindings, np.where(bindings.table < 2, bindings.address, 2 * bindings.address))
    values, qualities = codec.decode(data, np.full(len(bindings), last))
    return values.tolist(), qualities.tolist()


# 1.5 as float32 is 3F C0 00 00; as seen on the wire in each order:
ORDERS_OF_ONE_AND_A_HALF = {
    "ABCD": (0x3F, 0xC0, 0x00, 0x00),
    "CDAB": (0x00, 0x00, 0x3F, 0xC0),
    "BADC": (0xC0, 0x3F, 0x00, 0x00),
    "DCBA": (0x00, 0x00, 0xC0, 0x3F),
}


@pytest.mark.parametrize("order", ORDERS_OF_ONE_AND_A_HALF)
def test_the_four_byte_orders_of_a_float(order: str) -> None:
    rows = f"point,kind,table,address,type,order\nx,analog,input,0,float32,{order}"
    assert decode(rows, image(*ORDERS_OF_ONE_AND_A_HALF[order])) == ([1.5], [0])


# 0x0102030405060708 as int64: CDAB reverses the words, BADC swaps the bytes in each, DCBA reverses all.
ORDERS_OF_A_LONG = {
    "ABCD": (1, 2, 3, 4, 5, 6, 7, 8),
    "CDAB": (7, 8, 5, 6, 3, 4, 1, 2),
    "BADC": (2, 1, 4, 3, 6, 5, 8, 7),
    "DCBA": (8, 7, 6, 5, 4, 3, 2, 1),
}


@pytest.mark.parametrize("order", ORDERS_OF_A_LONG)
def test_the_four_byte_orders_of_64_bits(order: str) -> None:
    rows = f"point,kind,table,address,type,order\nx,counter,input,0,uint64,{order}"
    assert decode(rows, image(*ORDERS_OF_A_LONG[order]))[0] == [float(0x0102030405060708)]


def test_a_swapped_single_register() -> None:
    rows = "point,kind,table,address,type,order\nx,analog,input,0,int16,BADC\ny,binary,input,1,uint16,"
    assert decode(rows, image(0xFE, 0xFF, 0, 4))[0] == [-2.0, 1.0]


def test_bits_of_a_register_and_a_double_across_its_bytes() -> None:
    # Register 0 is 0x0181: bits 0, 7 and 8 are set.
    rows = """
    point,kind,table,address,type,bit
    b0,binary,input,0,uint16,0
    b1,binary,input,0,uint16,1
    b8,binary,input,0,uint16,8
    breaker,double,input,0,uint16,0
    isolator,double,input,0,uint16,6
    both,double,input,0,uint16,7
    none,double,input,0,uint16,14
    """
    assert decode(rows, image(0x01, 0x81))[0] == [1, 0, 1, 1, 2, 3, 0]


def test_coils_and_a_double_of_two_discrete_inputs() -> None:
    # Coils as on the wire: the first is bit 0 of byte 0; 9 is bit 1 of byte 1.
    rows = "point,kind,table,address,type\na,binary,coil,0,bit\nb,binary,coil,9,\nc,double,discrete,8,bit"
    assert decode(rows, image(0b0000_0001, 0b0000_0010))[0] == [1, 1, 2]


def test_scale_offset_and_an_inverted_contact() -> None:
    rows = """
    point,kind,table,address,type,bit,scale,offset
    t,analog,input,0,uint16,,0.1,-40
    healthy,binary,input,1,uint16,0,-1,1
    """
    assert decode(rows, image(0x02, 0xBC, 0x00, 0x00))[0] == [30.0, 1.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_no_number_keeps_the_last_value_and_is_invalid(bad: float) -> None:
    rows = "point,kind,table,address,type\nx,analog,input,0,float32\ny,analog,input,2,float32"
    data = np.frombuffer(struct.pack(">ff", bad, 2.0), np.uint8)
    assert decode(rows, data, last=7.0) == ([7.0, 2.0], [int(Quality.INVALID), 0])


def test_a_signalling_nan_is_invalid_without_a_warning() -> None:
    rows = "point,kind,table,address,type\nx,analog,input,0,float32"
    assert decode(rows, image(0x7F, 0x80, 0x00, 0x01), last=1.0) == ([1.0], [int(Quality.INVALID)])


def written(columns: str, cells: str, value: float) -> str:
    bindings = line(f"point,kind,table,address,type,{columns}\nx,setpoint,holding,0,{cells}").units[0].bindings
    return encode(bindings, 0, value).hex()


def test_a_write_is_rounded_to_the_nearest_raw_value() -> None:
    assert written("scale", "int16,0.1", 12.34) == "007b"
    assert written("scale", "int16,0.1", -0.06) == "ffff"
    assert written("order", "float32,CDAB", 1.5) == "00003fc0"
    assert written("order", "uint32,DCBA", 0x01020304) == "04030201"
    assert written("scale", "uint16,10", 655350) == "ffff"


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        ("int16,1", 32768),
        ("int16,1", -32769),
        ("uint16,1", -1),
        ("uint32,1", 2**32),
        ("int64,1", 2.0**63),
        ("uint64,1", 2.0**64),
        ("float32,1", 1e39),
        ("int16,1e-300", 1e300),
        ("float64,1", float("nan")),
        ("int16,1", float("inf")),
    ],
)
def test_what_the_type_cannot_hold_is_refused_and_never_wraps(cells: str, value: float) -> None:
    with pytest.raises(Unencodable):
        written("scale", cells, value)
