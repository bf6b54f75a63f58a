"""Configuration frames: what a stream carries (IEEE C37.118.2-2011, 6.4: CFG-1 and CFG-2; 6.5: CFG-3). Pure.

Names, factors and masks of all three kinds come to one `Configuration`; what only CFG-3 knows has a default.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from protocols.c37118.frame import CONFIGURATIONS, C37Error, FrameType, body_of, head_of

NAME_SIZE: Final = 16
BITS: Final = 16
CURRENT: Final = 0x0800
"""In the flag word of a CFG-3 phasor: bit 3 of its third octet."""
FIRST, LAST = 1, 0xFFFF
"""CONT_IDX of the first and last fragment; a whole frame has 0."""
_MOST_ASSEMBLED: Final = 1 << 20
PHUNIT_PARTS: Final = 100_000
"""PHUNIT counts 10^-5 V or A."""

PMU2 = struct.Struct(">HHHHH")
PMU3 = struct.Struct(">H16sHHHH")
PLACE = struct.Struct(">fffcii")
SHORT_WORD = struct.Struct(">H")
TOP = struct.Struct(">IH")
RATE = struct.Struct(">h")
INDEX = struct.Struct(">H")
PHSCALE = struct.Struct(">Iff")
ANSCALE = struct.Struct(">ff")
WORD = struct.Struct(">I")
MASKS = struct.Struct(">HH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """FORMAT: which numbers are floats, and how phasors are given."""

    float_frequency: bool = True
    float_analogs: bool = True
    float_phasors: bool = True
    polar: bool = True

    @property
    def word(self) -> int:
        return self.float_frequency << 3 | self.float_analogs << 2 | self.float_phasors << 1 | self.polar

    @classmethod
    def of(cls, word: int) -> Format:
        """Bits 15 to 4 are not used."""
        return cls(
            float_frequency=bool(word & 8),
            float_analogs=bool(word & 4),
            float_phasors=bool(word & 2),
            polar=bool(word & 1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Phasor:
    """`factor`: V or A per count; `flags`: first word of CFG-3's PHSCALE; `angle_rad` is taken off what is sent."""

    name: str
    factor: float = 1.0
    flags: int = 0
    angle_rad: float = 0.0

    @property
    def current(self) -> bool:
        return bool(self.flags & CURRENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analog:
    """`unit`: ANUNIT as sent (its scaling is the user's own affair); `factor`, `offset`: CFG-3's ANSCALE."""

    name: str
    unit: int = 0
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Digital:
    """One word of 16 bits; `names` from bit 0 up. `valid` 0: the device does not say which bits are used."""

    names: tuple[str, ...]
    normal: int = 0
    valid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """What CFG-3 adds about a PMU. Infinity: not given. Times in us."""

    global_id: bytes = bytes(16)
    latitude_deg: float = math.inf
    longitude_deg: float = math.inf
    elevation_m: float = math.inf
    service_class: bytes = b"M"
    window_us: int = 0
    group_delay_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pmu:
    """One PMU of a stream, its channels in the order of the data frame."""

    name: str
    id: int
    format: Format = Format()
    phasors: tuple[Phasor, ...] = ()
    analogs: tuple[Analog, ...] = ()
    digitals: tuple[Digital, ...] = ()
    nominal_hz: int = 50
    changes: int = 0
    placing: Placing = Placing()

    @property
    def data_size(self) -> int:
        """Octets of this PMU in a data frame."""
        shape = self.format
        phasors = len(self.phasors) * (8 if shape.float_phasors else 4)
        analogs = len(self.analogs) * (4 if shape.float_analogs else 2)
        return 2 + phasors + (8 if shape.float_frequency else 4) + analogs + 2 * len(self.digitals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a stream carries. `rate` is DATA_RATE as sent: frames per second, or minus seconds per frame."""

    type: FrameType
    id: int
    pmus: tuple[Pmu, ...]
    time_base: int = 1_000_000
    rate: int = 50

    @property
    def period_s(self) -> float:
        """Seconds from one data frame to the next."""
        return 1.0 / self.rate if self.rate > 0 else float(max(-self.rate, 1))

    @property
    def frame_size(self) -> int:
        """Octets of a data frame."""
        return 16 + sum(pmu.data_size for pmu in self.pmus)


class _Reader:
    """Takes fields off a body; running out of octets is a `C37Error`."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        return form.unpack(self.octets(form.size))

    def mixed(self, form: struct.Struct) -> tuple[float, ...]:
        return form.unpack(self.octets(form.size))

    def octets(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise C37Error(f"the configuration ends after {len(self._data)} octets, within a field at {start}")
        return self._data[start : self.at]

    def name16(self) -> str:
        """A name filled up with blanks or zeros."""
        return _text(self.octets(NAME_SIZE))

    def name(self) -> str:
        """A name with its length before it."""
        return _text(self.octets(self.octets(1)[0]))

    def end(self) -> None:
        if self.at != len(self._data):
            raise C37Error(f"{len(self._data) - self.at} octets stand behind the configuration's last field")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip(" \0")


def _counted(read: Callable[[], str], counts: Sequence[int]) -> tuple[list[str], ...]:
    """Names of phasors, analogs and digital bits."""
    phasors, analogs, words = counts
    return tuple([read() for _ in range(count)] for count in (phasors, analogs, words * BITS))


def _digitals(reader: _Reader, names: list[str]) -> tuple[Digital, ...]:
    words = [tuple(names[at : at + BITS]) for at in range(0, len(names), BITS)]
    masks = [reader.take(MASKS) for _ in words]
    return tuple(Digital(names=bits, normal=mask[0], valid=mask[1]) for bits, mask in zip(words, masks, strict=True))


def _phasor2(name: str, word: int) -> Phasor:
    return Phasor(name=name, factor=(word & 0xFFFFFF) / PHUNIT_PARTS, flags=CURRENT if word >> 24 else 0)


def _pmu2(reader: _Reader) -> Pmu:
    name = reader.name16()
    idcode, shape, *counts = reader.take(PMU2)
    phasors, analogs, bits = _counted(reader.name16, counts)
    return Pmu(
        name=name,
        id=idcode,
        format=Format.of(shape),
        phasors=tuple(_phasor2(each, reader.take(WORD)[0]) for each in phasors),
        analogs=tuple(Analog(name=each, unit=reader.take(WORD)[0]) for each in analogs),
        digitals=_digitals(reader, bits),
        nominal_hz=_nominal(reader),
        changes=reader.take(SHORT_WORD)[0],
    )


def _nominal(reader: _Reader) -> int:
    """FNOM in Hz."""
    return 50 if reader.take(SHORT_WORD)[0] & 1 else 60


def _phasor3(name: str, reader: _Reader) -> Phasor:
    flags, factor, angle_rad = reader.mixed(PHSCALE)
    return Phasor(name=name, flags=int(flags), factor=factor, angle_rad=angle_rad)


def _analog3(name: str, reader: _Reader) -> Analog:
    factor, offset = reader.mixed(ANSCALE)
    return Analog(name=name, factor=factor, offset=offset)


def _pmu3(reader: _Reader) -> Pmu:
    name = reader.name()
    idcode, global_id, shape, *counts = PMU3.unpack(reader.octets(PMU3.size))
    phasors, analogs, bits = _counted(reader.name, counts)
    return Pmu(
        name=name,
        id=idcode,
        format=Format.of(shape),
        phasors=tuple(_phasor3(each, reader) for each in phasors),
        analogs=tuple(_analog3(each, reader) for each in analogs),
        digitals=_digitals(reader, bits),
        placing=_placing(global_id, reader),
        nominal_hz=_nominal(reader),
        changes=reader.take(SHORT_WORD)[0],
    )


def _placing(global_id: bytes, reader: _Reader) -> Placing:
    latitude, longitude, elevation, service, window, delay = PLACE.unpack(reader.octets(PLACE.size))
    return Placing(
        global_id=global_id,
        latitude_deg=latitude,
        longitude_deg=longitude,
        elevation_m=elevation,
        service_class=service,
        window_us=window,
        group_delay_us=delay,
    )


def parse(kind: FrameType, idcode: int, body: bytes) -> Configuration:
    """The fields from TIME_BASE to DATA_RATE. Raises `C37Error` when they do not fill `body` exactly."""
    reader = _Reader(body)
    word, count = reader.take(TOP)
    time_base = word & 0xFFFFFF
    if not time_base or not count:
        raise C37Error(f"a configuration with TIME_BASE {time_base} and {count} PMUs; expected 1 of each at least")
    read = _pmu3 if kind is FrameType.CFG3 else _pmu2
    pmus = tuple(read(reader) for _ in range(count))
    (rate,) = reader.take(RATE)
    reader.end()
    if not rate:
        raise C37Error("DATA_RATE is 0; expected frames per second, or minus seconds per frame")
    return Configuration(type=kind, id=idcode, pmus=pmus, time_base=time_base, rate=rate)


class Assembler:
    """Takes configuration frames of any kind; a CFG-3 in fragments is put together in order of its CONT_IDX."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def take(self, frame: bytes) -> Configuration | None:
        """The configuration once it is whole. Raises `C37Error`; fragments gathered so far are then forgotten."""
        head, body = head_of(frame), body_of(frame)
        if head.type not in CONFIGURATIONS:
            raise C37Error(f"frame type {head.type} is no configuration")
        kind = FrameType(head.type)
        if kind is FrameType.CFG3:
            whole = self._fragment(body)
            return parse(kind, head.id, whole) if whole is not None else None
        return parse(kind, head.id, body)

    def _fragment(self, body: bytes) -> bytes | None:
        if len(body) < INDEX.size:
            raise C37Error("a CFG-3 without CONT_IDX")
        (index,) = INDEX.unpack_from(body)
        part = body[INDEX.size :]
        if index in (0, FIRST):
            self._forget()
        if index == 0:
            return part
        if index not in (len(self._parts) + 1, LAST) or (index == LAST and not self._parts):
            expected = len(self._parts) + 1
            self._forget()
            raise C37Error(f"fragment {index} of a CFG-3 came where {expected} was expected")
        self._parts.append(part)
        self._size += len(part)
        if self._size > _MOST_ASSEMBLED:
            self._forget()
            raise C37Error(f"a CFG-3 of more than {_MOST_ASSEMBLED} octets")
        if index != LAST:
            return None
        whole = b"".join(self._parts)
        self._forget()
        return whole

    def _forget(self) -> None:
        self._parts, self._size = [], 0
