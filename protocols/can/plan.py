"""What the settings are compiled to: fields, columns of bindings, and one plan per bus. Small and picklable. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Rows, Times, Values

EXTENDED: Final = 1 << 31
"""Marks a 29-bit identifier in a frame's key, as a DBC writes it."""

CLASSIC_BYTES: Final = 8
FD_BYTES: Final = 64

Frame = tuple[int, bytes | bytearray, int]
"""Key (identifier, with `EXTENDED` for 29 bits), data, source time in ns since 1970 UTC."""

Batch = tuple[Rows, Values, Qualities, Times]
"""Columns ready for `publish`."""


def key_words(key: int) -> str:
    """``0x120``, or ``0x18FF50E5 (29 bit)``."""
    return f"0x{key & ~EXTENDED:X} (29 bit)" if key & EXTENDED else f"0x{key:X}"


@dataclass(frozen=True, slots=True)
class Field:
    """The bits of one signal. `start` counts from the first bit on the way the signal runs.

    Little endian: the number of its lowest bit, byte 0 bit 0 being 0. Big endian: the number of its highest bit,
    byte 0 bit 7 being 0 (so 7 - bit within each byte).
    """

    start: int
    length: int
    big: bool = False
    signed: bool = False
    floating: bool = False

    @property
    def mask(self) -> int:
        return (1 << self.length) - 1

    def window(self, width: int) -> tuple[int, int]:
        """(first of eight bytes, shift within them) in a frame of `width` bytes; shift < 0: too long for eight."""
        first = min(self.start // 8, width - 8)
        at = self.start - 8 * first
        return first, 64 - at - self.length if self.big else (at if at + self.length <= 64 else -1)

    def shift(self, size: int) -> int:
        """Of its lowest bit in a whole frame of `size` bytes, read as one number in its byte order."""
        return 8 * size - self.start - self.length if self.big else self.start

    def read(self, data: bytes | bytearray) -> int:
        """Its raw bits in a frame that holds it."""
        number = int.from_bytes(data, "big" if self.big else "little")
        return number >> self.shift(len(data)) & self.mask

    def write(self, data: bytearray, raw: int) -> None:
        """Put raw bits (two's complement of a negative number) into a frame that holds it."""
        order: Any = "big" if self.big else "little"
        shift = self.shift(len(data))
        number = int.from_bytes(data, order) & ~(self.mask << shift)
        data[:] = (number | (raw & self.mask) << shift).to_bytes(len(data), order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """Points bound to received signals, as columns of one length.

    value = lut[lut_start + raw] where `lut_start` >= 0, else (raw x scale + offset) x row_scale + row_offset.
    """

    row: Rows
    message: NDArray[np.intp]
    window: NDArray[np.intp]
    shift: NDArray[np.uint64]
    mask: NDArray[np.uint64]
    sign: NDArray[np.uint64]
    """The sign bit of a signed integer, else 0."""
    big: NDArray[np.bool_]
    floating: NDArray[np.uint8]
    """16, 32, 64: an IEEE 754 number of so many bits; 0: an integer."""
    unsigned64: NDArray[np.bool_]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    row_scale: NDArray[np.float64]
    row_offset: NDArray[np.float64]
    flag: NDArray[np.bool_]
    """Any value but 0 is 1."""
    lut_start: NDArray[np.intp]
    guard_window: NDArray[np.intp]
    """The signal that says whether this one is valid; -1: none."""
    guard_shift: NDArray[np.uint64]
    guard_mask: NDArray[np.uint64]
    guard_big: NDArray[np.bool_]
    guard_good: NDArray[np.bool_]
    """Whether not 0 means valid (else 0 does)."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One received signal by its parts, for whoever makes frames of values (the simulator)."""

    row: int
    field: Field
    scale: float
    offset: float
    row_scale: float
    row_offset: float
    states: tuple[tuple[float, int], ...] = ()
    """(value, raw) of a point read by a table of states."""
    guard: tuple[Field, int] | None = None
    """The signal that says whether it is valid, and what it says then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One received message. `variants` maps the values of its selectors to a number in the plan's CSR columns."""

    key: int
    name: str
    device: int
    length: int
    cycle_s: float
    """As the DBC or the device's keys have it; 0: not known."""
    fd: bool = False
    selectors: tuple[Field, ...] = ()
    variants: dict[tuple[int, ...], int] = field(default_factory=dict)
    selected: tuple[frozenset[int], ...] = ()
    """Per selector: every value the DBC knows."""
    common: int = -1
    """The variant of the signals that are in every frame of it; -1 when no point is bound to one."""
    shared: bool = False
    """Whether a point occurs in several variants, so that two frames may concern one point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """`method` is one of `protocols.can.checksum.METHODS`; `prefix` goes before the data (a data id)."""

    field: Field
    method: str
    prefix: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One commanded point: raw = ((value - row_offset) / row_scale - offset) / scale, or by `states`."""

    row: int
    name: str
    message: int
    """Which of the plan's `transmit`."""
    field: Field
    scale: float
    offset: float
    row_scale: float
    row_offset: float
    low: float
    high: float
    """Of the signal in the DBC, before the row's own scale; infinite when it says none."""
    states: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmit:
    """One message that the gateway sends."""

    key: int
    name: str
    device: int
    initial: bytes
    """What is sent before anything was commanded."""
    cycle_s: float
    """0: only when something is written."""
    at_once: bool
    """Sent from the opening of the bus on, not only after the first write."""
    fd: bool = False
    counter: Field | None = None
    checksum: Checksum | None = None
    stop: bytes | None = None
    """What is sent once when the gateway stops in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOnBus:
    """One device: what it is called and after how long a silence it is lost. Infinite: nothing is received of it."""

    name: str
    rows: Rows
    silent_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How python-can opens the bus."""

    interface: str
    channel: str
    bitrate: int | None = None
    fd: bool = False
    listen_only: bool = True
    filters: tuple[tuple[int, int, bool], ...] = ()
    """(identifier, mask, 29 bit); empty: everything is received."""
    options: dict[str, Any] = field(default_factory=dict)
    fallback: str = ""
    """Path of an slcan line that is taken instead where the machine has no multicast."""

    def __str__(self) -> str:
        return f"{self.interface} {self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusPlan:
    """One bus with its devices; one driver serves it."""

    access: Access
    devices: list[str]
    rows: Rows
    members: list[DeviceOnBus]
    messages: list[Message]
    bindings: Bindings
    sources: list[Source]
    """Beside `bindings`, in the same order."""
    starts: NDArray[np.intp]
    members_of: NDArray[np.intp]
    """Variant v has the bindings ``members_of[starts[v]:starts[v + 1]]``."""
    lut: Values
    invalid: dict[int, tuple[int, ...]]
    """Binding -> raw values that say that there is no value."""
    known: frozenset[int]
    """Keys of every message in the DBCs of this bus."""
    targets: list[Target] = field(default_factory=list)
    transmit: list[Transmit] = field(default_factory=list)
    reconnect_max_s: float = 3.0
    gather_s: float = 0.005
    """Frames are taken from a busy bus this often."""


def width_of(lengths: list[int]) -> int:
    """Bytes to which every frame of a bus is filled up for decoding: 8, or 64 as soon as one message is longer."""
    return CLASSIC_BYTES if max(lengths, default=0) <= CLASSIC_BYTES else FD_BYTES
