"""Internal indications: the 16 bits in which every response tells how the outstation is (IEEE 1815-2012)."""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class Iin(IntFlag):
    """IIN1 in the low octet, IIN2 in the high one: little endian on the wire as IIN1, IIN2."""

    BROADCAST = 1 << 0
    """IIN1.0: a broadcast was received since the last response."""
    CLASS_1_EVENTS = 1 << 1
    CLASS_2_EVENTS = 1 << 2
    CLASS_3_EVENTS = 1 << 3
    NEED_TIME = 1 << 4
    LOCAL_CONTROL = 1 << 5
    DEVICE_TROUBLE = 1 << 6
    DEVICE_RESTART = 1 << 7
    """IIN1.7: set at start, cleared by the master with a write of g80v1."""
    NO_FUNC_CODE_SUPPORT = 1 << 8
    """IIN2.0"""
    OBJECT_UNKNOWN = 1 << 9
    """IIN2.1"""
    PARAMETER_ERROR = 1 << 10
    """IIN2.2"""
    EVENT_BUFFER_OVERFLOW = 1 << 11
    """IIN2.3"""
    ALREADY_EXECUTING = 1 << 12
    """IIN2.4"""
    CONFIG_CORRUPT = 1 << 13
    """IIN2.5"""
    RESERVED_2_6 = 1 << 14
    RESERVED_2_7 = 1 << 15

    def encode(self) -> bytes:
        """Two octets, IIN1 first."""
        return int(self).to_bytes(2, "little")

    @classmethod
    def decode(cls, octets: bytes) -> Iin:
        """The first two of `octets`."""
        return cls(int.from_bytes(octets[:2], "little"))

    @property
    def words(self) -> str:
        """The bits that are set, ``none`` when there are none."""
        names = [(flag.name or "").lower().replace("_", " ") for flag in Iin if flag in self]
        return ", ".join(names) or "none"


NO_IIN: Final = Iin(0)
CLASS_EVENTS: Final = (NO_IIN, Iin.CLASS_1_EVENTS, Iin.CLASS_2_EVENTS, Iin.CLASS_3_EVENTS)
"""The bit of class 1 to 3, indexed by class."""
REQUEST_ERRORS: Final = Iin.NO_FUNC_CODE_SUPPORT | Iin.OBJECT_UNKNOWN | Iin.PARAMETER_ERROR
"""Bits that speak of the one request that is being answered."""
