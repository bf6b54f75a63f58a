"""Devices as they answer: the register images of a plan's units, and the answer to any request. Pure.

For demonstration, tests and figures; the gateway's own side is `driver`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Values
from protocols.modbus.codec import Codec
from protocols.modbus.frame import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    MASK_WRITE,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
)
from protocols.modbus.plan import Bindings, Table, UnitPlan

_TABLE_OF_READ: Final = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}


class DeviceException(Exception):
    """The device answers with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class TableImage:
    """One table of one device: its bytes as on the wire, and which addresses exist."""

    def __init__(self, table: Table, bindings: Bindings) -> None:
        which = np.flatnonzero(bindings.table == table)
        self.table = table
        self.positions = which
        self.bindings = bindings.take(which)
        first, past = self._reach()
        self.mapped = np.zeros(past, np.bool_)
        for address, width in zip(self.bindings.address.tolist(), self.bindings.width.tolist(), strict=True):
            self.mapped[address : address + width] = True
        self.first = first
        self.refused: set[int] = set()
        self.strict = False
        size = (past + 7) // 8 if table.of_bits else 2 * past
        self._bytes = bytearray(size)
        self._image = np.frombuffer(self._bytes, np.uint8)
        self._codec = Codec(self.bindings, self.bindings.address * (1 if table.of_bits else 2))

    def _reach(self) -> tuple[int, int]:
        if not len(self.bindings):
            return 0, 0
        return int(self.bindings.address.min()), int((self.bindings.address + self.bindings.width).max())

    def paint(self, values: Values) -> None:
        """What this table holds from now on; `values` for all its bindings."""
        self._codec.paint(self._image, values)

    def values(self) -> Values:
        """What its bindings read now."""
        return self._codec.decode(self._image, np.zeros(len(self.bindings)))[0]

    def check(self, address: int, count: int) -> None:
        """Raises `DeviceException` 2 for addresses that are not there."""
        end = address + count
        there = self.first <= address and end <= len(self.mapped)
        if there and self.strict:
            there = bool(self.mapped[address:end].all())
        if not there or (self.refused and not self.refused.isdisjoint(range(address, end))):
            raise DeviceException(ILLEGAL_ADDRESS)

    def read(self, address: int, count: int) -> bytes:
        if not self.table.of_bits:
            return bytes(self._bytes[2 * address : 2 * (address + count)])
        first = address >> 3
        bits = np.unpackbits(self._image[first : (address + count + 7) >> 3], bitorder="little")
        return np.packbits(bits[address & 7 :][:count], bitorder="little").tobytes()

    def write_registers(self, address: int, data: bytes) -> None:
        self._bytes[2 * address : 2 * address + len(data)] = data

    def write_bit(self, address: int, on: bool) -> None:
        mask = 1 << (address & 7)
        old = self._bytes[address >> 3]
        self._bytes[address >> 3] = old | mask if on else old & ~mask

    def touched(self, address: int, count: int, mask: int = 0xFFFF) -> NDArray[np.int64]:
        """Positions of bindings that a write of these addresses (and bits of a register) concerns."""
        held = self.bindings
        hit = (held.address < address + count) & (held.address + held.width > address)
        if mask != 0xFFFF:
            hit &= (held.bit >= 0) & ((mask >> np.maximum(held.bit, 0)) & 1 == 1)
        return np.flatnonzero(hit)


class DeviceImage:
    """One unit: four tables, and its answer to every request.

    `on_write(row, engineering value, commanded)` hears what a write changed.
    """

    def __init__(self, plan: UnitPlan, on_write: Callable[[int, float, bool], None]) -> None:
        self.unit = plan.unit
        self.bindings = plan.bindings
        self.tables = {table: TableImage(table, plan.bindings) for table in Table}
        self.unknown_functions: set[int] = set()
        self._on_write = on_write
        self._handlers: dict[int, Callable[[bytes], bytes]] = {
            **dict.fromkeys(_TABLE_OF_READ, self._read),
            WRITE_COIL: self._write_coil,
            WRITE_REGISTER: self._write_register,
            WRITE_COILS: self._write_coils,
            WRITE_REGISTERS: self._write_registers,
            MASK_WRITE: self._mask_write,
        }

    def paint(self, values: Values) -> None:
        """What the device measures from now on; engineering values of all its bindings."""
        for image in self.tables.values():
            if len(image.positions):
                image.paint(values[image.positions])

    def answer(self, pdu: bytes) -> bytes:
        """The answer PDU to a request PDU; never raises for what a peer sends."""
        function = pdu[0] if pdu else 0
        handler = self._handlers.get(function)
        try:
            if handler is None or function in self.unknown_functions:
                raise DeviceException(ILLEGAL_FUNCTION)
            return handler(pdu)
        except DeviceException as error:
            return bytes((function | 0x80, error.code))
        except struct.error:
            return bytes((function | 0x80, ILLEGAL_VALUE))

    def _read(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", pdu)
        image = self.tables[_TABLE_OF_READ[function]]
        if not 1 <= count <= (2000 if image.table.of_bits else 125):
            raise DeviceException(ILLEGAL_VALUE)
        image.check(address, count)
        data = image.read(address, count)
        return bytes((function, len(data))) + data

    def _write_coil(self, pdu: bytes) -> bytes:
        _, address, value = struct.unpack(">BHH", pdu)
        if value not in (0, 0xFF00):
            raise DeviceException(ILLEGAL_VALUE)
        self._set_coils(address, [value != 0])
        return pdu

    def _write_coils(self, pdu: bytes) -> bytes:
        _, address, count, size = struct.unpack_from(">BHHB", pdu)
        if not 1 <= count <= 1968 or size != (count + 7) // 8 or len(pdu) != 6 + size:
            raise DeviceException(ILLEGAL_VALUE)
        bits = int.from_bytes(pdu[6:], "little")
        self._set_coils(address, [bool(bits >> i & 1) for i in range(count)])
        return pdu[:5]

    def _set_coils(self, address: int, bits: list[bool]) -> None:
        image = self.tables[Table.COIL]
        image.check(address, len(bits))
        for away, on in enumerate(bits):
            image.write_bit(address + away, on)
        self._tell(image, image.touched(address, len(bits)))

    def _write_register(self, pdu: bytes) -> bytes:
        _, address, _ = struct.unpack(">BHH", pdu)
        self._set_registers(address, pdu[3:5])
        return pdu

    def _write_registers(self, pdu: bytes) -> bytes:
        _, address, count, size = struct.unpack_from(">BHHB", pdu)
        if not 1 <= count <= 123 or size != 2 * count or len(pdu) != 6 + size:
            raise DeviceException(ILLEGAL_VALUE)
        self._set_registers(address, pdu[6:])
        return pdu[:5]

    def _mask_write(self, pdu: bytes) -> bytes:
        _, address, and_mask, or_mask = struct.unpack(">BHHH", pdu)
        image = self.tables[Table.HOLDING]
        image.check(address, 1)
        old = int.from_bytes(image.read(address, 1), "big")
        new = (old & and_mask) | (or_mask & ~and_mask & 0xFFFF)
        self._set_registers(address, new.to_bytes(2, "big"), ~and_mask & 0xFFFF)
        return pdu

    def _set_registers(self, address: int, data: bytes, mask: int = 0xFFFF) -> None:
        image = self.tables[Table.HOLDING]
        image.check(address, len(data) // 2)
        image.write_registers(address, data)
        self._tell(image, image.touched(address, len(data) // 2, mask))

    def _tell(self, image: TableImage, touched: NDArray[np.int64]) -> None:
        if len(touched):
            values = image.values()
            for position in touched.tolist():
                row, commanded = int(image.bindings.row[position]), bool(image.bindings.commanded[position])
                self._on_write(row, float(values[position]), commanded)
