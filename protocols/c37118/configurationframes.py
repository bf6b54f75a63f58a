"""Configuration frames from a `Configuration`, for simulators and tests. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from protocols.c37118.configuration import (
    ANSCALE,
    FIRST,
    INDEX,
    LAST,
    MASKS,
    NAME_SIZE,
    PHSCALE,
    PHUNIT_PARTS,
    PLACE,
    PMU2,
    PMU3,
    RATE,
    SHORT_WORD,
    TOP,
    WORD,
    Configuration,
    Pmu,
)
from protocols.c37118.frame import VERSION_2005, VERSION_2011, FrameType, Head, build


def _name16(name: str) -> bytes:
    return name.encode()[:NAME_SIZE].ljust(NAME_SIZE)


def _name(name: str) -> bytes:
    data = name.encode()[:255]
    return bytes((len(data),)) + data


def _names(pmu: Pmu, write: Callable[[str], bytes]) -> bytes:
    names = [each.name for each in pmu.phasors] + [each.name for each in pmu.analogs]
    names += [name for digital in pmu.digitals for name in digital.names]
    return b"".join(write(name) for name in names)


def _counts(pmu: Pmu) -> tuple[int, int, int, int]:
    return pmu.format.word, len(pmu.phasors), len(pmu.analogs), len(pmu.digitals)


def _tail(pmu: Pmu) -> bytes:
    return SHORT_WORD.pack(pmu.nominal_hz == 50) + SHORT_WORD.pack(pmu.changes)


def _masks(pmu: Pmu) -> bytes:
    return b"".join(MASKS.pack(each.normal, each.valid) for each in pmu.digitals)


def _bytes2(pmu: Pmu) -> bytes:
    units = [WORD.pack(each.current << 24 | round(each.factor * PHUNIT_PARTS) & 0xFFFFFF) for each in pmu.phasors]
    units += [WORD.pack(each.unit) for each in pmu.analogs]
    front = _name16(pmu.name) + PMU2.pack(pmu.id, *_counts(pmu)) + _names(pmu, _name16)
    return front + b"".join(units) + _masks(pmu) + _tail(pmu)


def _bytes3(pmu: Pmu) -> bytes:
    at = pmu.placing
    scales = [PHSCALE.pack(each.flags, each.factor, each.angle_rad) for each in pmu.phasors]
    scales += [ANSCALE.pack(each.factor, each.offset) for each in pmu.analogs]
    front = _name(pmu.name) + PMU3.pack(pmu.id, at.global_id, *_counts(pmu)) + _names(pmu, _name)
    place = PLACE.pack(
        at.latitude_deg, at.longitude_deg, at.elevation_m, at.service_class, at.window_us, at.group_delay_us
    )
    return front + b"".join(scales) + _masks(pmu) + place + _tail(pmu)


def encode(found: Configuration, *, soc: int = 0, most: int = 65_000, version: int = VERSION_2005) -> list[bytes]:
    """The frames of a configuration: one, or several of at most `most` octets of body for a long CFG-3.

    Raises `ValueError` for a CFG-1 or CFG-2 that does not fit one frame.
    """
    write = _bytes3 if found.type is FrameType.CFG3 else _bytes2
    body = TOP.pack(found.time_base, len(found.pmus)) + b"".join(write(pmu) for pmu in found.pmus)
    body += RATE.pack(found.rate)
    head = Head(type=found.type, id=found.id, soc=soc, version=version)
    if found.type is not FrameType.CFG3:
        return [build(head, body)]
    head = replace(head, version=VERSION_2011)
    parts = [body[at : at + most] for at in range(0, len(body), most)]
    if len(parts) == 1:
        return [build(head, INDEX.pack(0) + body)]
    indices = [*range(FIRST, len(parts)), LAST]
    return [build(head, INDEX.pack(index) + part) for index, part in zip(indices, parts, strict=True)]
