"""What the settings are compiled to: columns of bindings per unit, and one plan per line. Small and picklable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Rows


class Table(IntEnum):
    """The four primary tables (MODBUS Application Protocol V1.1b3, 4.3)."""

    COIL = 0
    DISCRETE = 1
    INPUT = 2
    HOLDING = 3

    @property
    def word(self) -> str:
        return self.name.lower()

    @property
    def of_bits(self) -> bool:
        return self in (Table.COIL, Table.DISCRETE)

    @property
    def writable(self) -> bool:
        return self in (Table.COIL, Table.HOLDING)


class Form(IntEnum):
    """How the raw image becomes a value."""

    NUMBER = 0
    """A number of one to four registers."""
    FLAG = 1
    """A whole register: 1 when it is not 0."""
    BIT = 2
    """A coil, a discrete input, or one bit of a register."""
    DOUBLE = 3
    """Two neighbouring bits: the first open, the second closed."""


@dataclass(frozen=True, slots=True)
class WireType:
    """A number as it lies in registers; `code` is numpy's name of it, big endian."""

    word: str
    code: str
    registers: int

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype(f">{self.code}")

    @property
    def is_float(self) -> bool:
        return self.code.startswith("f")


WIRE_TYPES: Final = (
    WireType("int16", "i2", 1),
    WireType("uint16", "u2", 1),
    WireType("int32", "i4", 2),
    WireType("uint32", "u4", 2),
    WireType("int64", "i8", 4),
    WireType("uint64", "u8", 4),
    WireType("float32", "f4", 2),
    WireType("float64", "f8", 4),
)
WIRE_INDEX: Final = {wire.word: index for index, wire in enumerate(WIRE_TYPES)}

ORDERS: Final = ("ABCD", "CDAB", "BADC", "DCBA")
"""Byte orders as seen on the wire: big endian; words reversed; bytes swapped within words; all bytes reversed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """Points bound to addresses, as columns of one length. `width` counts addresses (registers or bits)."""

    row: Rows
    form: NDArray[np.uint8]
    table: NDArray[np.uint8]
    address: NDArray[np.int64]
    width: NDArray[np.int64]
    wire: NDArray[np.uint8]
    order: NDArray[np.uint8]
    bit: NDArray[np.int64]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    scan_s: NDArray[np.float64]
    pulse_s: NDArray[np.float64]
    commanded: NDArray[np.bool_]
    setpoint: NDArray[np.bool_]
    name: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: NDArray[np.int64]) -> Bindings:
        """The bindings at these positions."""
        return Bindings(**{column: getattr(self, column)[index] for column in self.__slots__})

    def where(self, position: int) -> str:
        """The address in words: ``holding 8192``, ``input 4114 bit 1``."""
        bit = int(self.bit[position])
        text = f"{Table(int(self.table[position])).word} {int(self.address[position])}"
        return text if bit < 0 else f"{text} bit {bit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """Where a line is. `scheme` is ``tcp``, ``rtu`` or ``rtuovertcp``; a serial line has `host` for its path."""

    scheme: str
    host: str
    port: int = 0
    baudrate: int = 19200
    parity: str = "E"
    stopbits: int = 1
    bytesize: int = 8

    @property
    def serial(self) -> bool:
        return self.scheme == "rtu"

    @property
    def framed_rtu(self) -> bool:
        return self.scheme != "tcp"

    @property
    def line(self) -> tuple[str, int]:
        """What makes two URLs the same line."""
        return (self.host, self.port)

    def __str__(self) -> str:
        if self.serial:
            return f"rtu://{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one read may ask for: the widest gap to read across, and the most registers and bits."""

    gap: int = 10
    registers: int = 125
    bits: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPlan:
    """One device on a line."""

    device: str
    unit: int
    bindings: Bindings
    limits: Limits = Limits()
    timeout_s: float = 1.0
    retries: int = 1
    pause_s: float = 0.0
    read_modify_write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePlan:
    """One connection or serial line with its units; one driver serves it."""

    url: Url
    devices: list[str]
    rows: Rows
    units: list[UnitPlan]
    reconnect_max_s: float = 3.0
