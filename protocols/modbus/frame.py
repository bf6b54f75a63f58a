"""Requests, answers and their framing: bytes in, bytes out.

MODBUS Application Protocol V1.1b3, clause 6, and MODBUS over Serial Line V1.02, clause 2.5.

The MBAP header of Modbus TCP (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3)::

    | transaction 2 | protocol 2 (0) | length 2 | unit 1 | function 1 | data ... |
                                                 `-------- length counts --------'

An RTU frame::

    | unit 1 | function 1 | data ... | CRC 2, low byte first |
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocols.modbus.plan import Table

READ_FUNCTION: Final = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS, MASK_WRITE = 5, 6, 15, 16, 22

FUNCTION_WORDS: Final = {
    1: "read coils",
    2: "read discrete inputs",
    3: "read holding registers",
    4: "read input registers",
    5: "write single coil",
    6: "write single register",
    15: "write multiple coils",
    16: "write multiple registers",
    22: "mask write register",
}

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_BUSY = 1, 2, 3, 6
GATEWAY_EXCEPTIONS: Final = frozenset({10, 11})
"""The gateway answers for a unit that does not."""

EXCEPTION_WORDS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


def exception_words(code: int) -> str:
    """``exception 2 (illegal data address)``."""
    return f"exception {code} ({EXCEPTION_WORDS.get(code, 'unknown to the standard')})"


class ModbusError(Exception):
    """Anything that keeps an answer from becoming values."""


class Refusal(ModbusError):
    """The device answered with an exception code."""

    def __init__(self, function: int, code: int) -> None:
        super().__init__(f"{FUNCTION_WORDS.get(function, f'function {function}')}: {exception_words(code)}")
        self.code = code


class Malformed(ModbusError):
    """The answer has the wrong function, length or echo."""


class Garbage(ModbusError):
    """The stream is not Modbus; where the next frame begins is unknown."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send. A read expects `nbytes` of data, a write expects `echo` back."""

    pdu: bytes
    nbytes: int = 0
    echo: bytes = b""

    @property
    def function(self) -> int:
        return self.pdu[0]

    def data(self, answer: bytes) -> bytes:
        """The data of a fitting answer PDU; raises `Refusal` or `Malformed`."""
        function = self.pdu[0]
        if self.nbytes and len(answer) == 2 + self.nbytes and answer[0] == function and answer[1] == self.nbytes:
            return answer[2:]
        if len(answer) == 2 and answer[0] == function | 0x80:
            raise Refusal(function, answer[1])
        if self.echo and answer == self.echo:
            return answer[1:]
        expected = f"{2 + self.nbytes} bytes" if self.nbytes else f"the echo {self.echo.hex()}"
        raise Malformed(
            f"answer to function {function} is {len(answer)} bytes beginning {answer[:4].hex()}, expected {expected}"
        )


def read(table: Table, address: int, count: int) -> Request:
    """Read `count` registers or bits (functions 1 to 4)."""
    nbytes = (count + 7) // 8 if table.of_bits else 2 * count
    return Request(struct.pack(">BHH", READ_FUNCTION[table], address, count), nbytes)


def write_coil(address: int, on: bool) -> Request:
    """Write Single Coil (function 5)."""
    pdu = struct.pack(">BHH", WRITE_COIL, address, 0xFF00 if on else 0)
    return Request(pdu, echo=pdu)


def write_coils(address: int, bits: list[bool]) -> Request:
    """Write Multiple Coils (function 15)."""
    data = sum(1 << i for i, bit in enumerate(bits) if bit).to_bytes((len(bits) + 7) // 8, "little")
    pdu = struct.pack(">BHHB", WRITE_COILS, address, len(bits), len(data)) + data
    return Request(pdu, echo=pdu[:5])


def write_register(address: int, data: bytes) -> Request:
    """Write Single Register (function 6); `data` is 2 bytes as they go out."""
    pdu = struct.pack(">BH", WRITE_REGISTER, address) + data
    return Request(pdu, echo=pdu)


def write_registers(address: int, data: bytes) -> Request:
    """Write Multiple Registers (function 16); `data` as it goes out, 2 bytes a register."""
    pdu = struct.pack(">BHHB", WRITE_REGISTERS, address, len(data) // 2, len(data)) + data
    return Request(pdu, echo=pdu[:5])


def mask_write(address: int, and_mask: int, or_mask: int) -> Request:
    """Mask Write Register (function 22): ``(register & and) | (or & ~and)`` in the device, at once."""
    pdu = struct.pack(">BHHH", MASK_WRITE, address, and_mask, or_mask)
    return Request(pdu, echo=pdu)


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value


_CRC_TABLE: Final = tuple(_crc_entry(value) for value in range(256))


def crc16(data: bytes) -> bytes:
    """CRC-16 of the serial line, low byte first (Serial Line V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def mbap_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body)


OnStray = Callable[[str, int], None]
"""Told of a frame that answers nothing asked: ``late`` or ``wrong_unit``, and the unit it names."""


def match_mbap(buffer: bytes, unit: int, transaction: int, stray: OnStray) -> tuple[int, bytes | None]:
    """Find the answer of `unit` to `transaction`: (bytes used, its PDU or None while it is not there).

    Other whole frames are told to `stray` and passed over. Raises `Garbage` for a header no Modbus device sends.
    """
    used, size = 0, len(buffer)
    while size - used >= 8:
        found, protocol, length, sender = struct.unpack_from(">HHHB", buffer, used)
        if protocol != 0 or not 2 <= length <= 254:
            raise Garbage(f"not an MBAP header: {buffer[used : used + 7].hex()}")
        end = used + 6 + length
        if size < end:
            break
        if found == transaction and sender == unit:
            return end, buffer[used + 7 : end]
        stray("late" if found != transaction else "wrong_unit", sender)
        used = end
    return used, None


_FIXED_SIZE: Final = {5: 8, 6: 8, 15: 8, 16: 8, 22: 10}


def _rtu_size(buffer: bytes, at: int) -> int:
    """Size of the answer that could begin here; 0 when none could."""
    function = buffer[at + 1]
    if function & 0x80:
        return 5 if function & 0x7F in FUNCTION_WORDS else 0
    if function in (1, 2, 3, 4):
        return buffer[at + 2] + 5
    return _FIXED_SIZE.get(function, 0)


def match_rtu(buffer: bytes, unit: int, stray: OnStray) -> tuple[int, bytes | None]:
    """Find an answer of `unit` with a good CRC, hunting over noise: (bytes used, its PDU or None).

    Whole frames of other units are told to `stray`. RTU has no transaction number: the caller keeps a unit that
    timed out from being asked again until a late answer can no longer be taken for the next.
    """
    used = at = 0
    while len(buffer) - at >= 5:
        size = _rtu_size(buffer, at)
        frame = buffer[at : at + size]
        if not size or len(frame) < size or crc16(frame[:-2]) != frame[-2:]:
            at += 1
            continue
        used = at = at + size
        if frame[0] == unit:
            return used, frame[1:-2]
        stray("wrong_unit", frame[0])
    return used, None
