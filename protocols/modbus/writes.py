"""What to send for one write: the ways to do it, in the order they are tried. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocols.modbus import frame
from protocols.modbus.codec import Unencodable, encode, raw_number
from protocols.modbus.frame import Request
from protocols.modbus.plan import ORDERS, Bindings, Form, Table

LONG_PULSE = 4
"""A long pulse lasts this many times `pulse_ms`."""


@dataclass(frozen=True, slots=True)
class BitChange:
    """Set or clear one bit of a holding register by reading it and writing it back."""

    address: int
    mask: int
    on: bool

    def read(self) -> Request:
        return frame.read(Table.HOLDING, self.address, 1)

    def write(self, data: bytes) -> Request:
        """The register as it was read, with the bit changed."""
        old = int.from_bytes(data, "big")
        new = old | self.mask if self.on else old & ~self.mask
        return frame.write_register(self.address, new.to_bytes(2, "big"))


Way = Request | BitChange


def _state(bindings: Bindings, position: int, value: float) -> bool:
    raw = raw_number(bindings, position, value)
    if raw not in (0.0, 1.0):
        raise Unencodable(f"{value:g} is no state: a control takes 0 or 1")
    return bool(raw)


def ways(bindings: Bindings, position: int, value: float, read_modify_write: bool) -> list[Way]:
    """Requests that each do the whole write; a later one is for devices that do not know an earlier one's function.

    Raises `Unencodable` when the point's type cannot hold the value.
    """
    address = int(bindings.address[position])
    form = Form(int(bindings.form[position]))
    if form is Form.BIT:
        on = _state(bindings, position, value)
        if bindings.table[position] == Table.COIL:
            return [frame.write_coil(address, on), frame.write_coils(address, [on])]
        return _bit_ways(bindings, position, on, read_modify_write)
    if form is Form.FLAG:
        _state(bindings, position, value)
    data = encode(bindings, position, value)
    many = frame.write_registers(address, data)
    return [frame.write_register(address, data), many] if len(data) == 2 else [many]


def _bit_ways(bindings: Bindings, position: int, on: bool, read_modify_write: bool) -> list[Way]:
    address = int(bindings.address[position])
    mask = 1 << int(bindings.bit[position])
    if bindings.order[position] >= ORDERS.index("BADC"):
        mask = int(np.uint16(mask).byteswap())
    masked = frame.mask_write(address, 0xFFFF & ~mask, mask if on else 0)
    return [masked, BitChange(address, mask, on)] if read_modify_write else [masked]


def function_of(way: Way) -> int:
    """The function code that decides whether a device knows this way."""
    return frame.WRITE_REGISTER if isinstance(way, BitChange) else way.function
