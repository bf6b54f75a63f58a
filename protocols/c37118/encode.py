"""Data frames from values, for simulators and tests. Pure."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

from protocols.c37118.configuration import Configuration, Phasor, Pmu
from protocols.c37118.frame import VERSION_2005, FrameType, Head, build

_ABSENT = -32768
_LARGEST = 3.4028234663852886e38
_SHORT = struct.Struct(">h")
_WORD = struct.Struct(">H")
_FLOAT = struct.Struct(">f")


@dataclass(slots=True, kw_only=True)
class Measured:
    """What one PMU measured, in V, A, rad, Hz, Hz/s; lists in the order of its configuration. NaN: absent."""

    stat: int = 0
    phasors: list[tuple[float, float]] = field(default_factory=list)
    frequency_hz: float = math.nan
    rocof_hz_per_s: float = 0.0
    analogs: list[float] = field(default_factory=list)
    digitals: list[int] = field(default_factory=list)

    @classmethod
    def nothing(cls, pmu: Pmu) -> Measured:
        """As many channels as the PMU has, all 0 and the frequency nominal."""
        return cls(
            phasors=[(0.0, 0.0)] * len(pmu.phasors),
            frequency_hz=float(pmu.nominal_hz),
            analogs=[0.0] * len(pmu.analogs),
            digitals=[0] * len(pmu.digitals),
        )


def _short(value: float) -> bytes:
    """Cut off at what 16 bits hold; -32768 is kept for what is absent."""
    return _SHORT.pack(_ABSENT if math.isnan(value) else round(min(max(value, -32767.0), 32767.0)))


def _float(value: float) -> bytes:
    """Cut off at what 32 bits hold."""
    return _FLOAT.pack(value if math.isnan(value) else min(max(value, -_LARGEST), _LARGEST))


def _real(value: float, as_float: bool) -> bytes:
    return _float(value) if as_float else _short(value)


def _phasor(pmu: Pmu, phasor: Phasor, magnitude: float, angle_rad: float, scaled: bool) -> bytes:
    """`scaled`: the factor counts for floats too (CFG-3)."""
    shape = pmu.format
    angle = angle_rad + (phasor.angle_rad if math.isfinite(phasor.angle_rad) else 0.0)
    angle = angle if math.isfinite(angle) else math.nan
    factor = phasor.factor if (scaled or not shape.float_phasors) and phasor.factor else 1.0
    size = magnitude / factor
    if not shape.polar:
        return b"".join(_real(size * part(angle), shape.float_phasors) for part in (math.cos, math.sin))
    if shape.float_phasors:
        return _float(size) + _float(angle)
    if math.isnan(size) or math.isnan(angle):
        return _WORD.pack(0) + _SHORT.pack(_ABSENT)
    return _WORD.pack(round(min(max(size, 0.0), 65535.0))) + _short(math.remainder(angle, 2 * math.pi) * 10_000)


def measured_bytes(found: Configuration, pmu: Pmu, values: Measured) -> bytes:
    """One PMU's part of a data frame."""
    shape = pmu.format
    scaled = found.type is FrameType.CFG3
    parts = [_WORD.pack(values.stat)]
    parts += [
        _phasor(pmu, each, *value, scaled=scaled) for each, value in zip(pmu.phasors, values.phasors, strict=True)
    ]
    if shape.float_frequency:
        parts += [_float(values.frequency_hz), _float(values.rocof_hz_per_s)]
    else:
        parts += [_short((values.frequency_hz - pmu.nominal_hz) * 1000), _short(values.rocof_hz_per_s * 100)]
    for analog, value in zip(pmu.analogs, values.analogs, strict=True):
        sent = (value - analog.offset) / analog.factor if scaled and analog.factor else value
        parts.append(_real(sent, shape.float_analogs))
    parts += [_WORD.pack(word) for word in values.digitals]
    return b"".join(parts)


def data_frame(
    found: Configuration,
    values: list[Measured],
    *,
    soc: int,
    fraction: int,
    time_quality: int = 0,
    version: int = VERSION_2005,
) -> bytes:
    """A data frame of all PMUs of a stream; `fraction` counts parts of its TIME_BASE."""
    body = b"".join(measured_bytes(found, pmu, each) for pmu, each in zip(found.pmus, values, strict=True))
    head = Head(
        type=FrameType.DATA, id=found.id, soc=soc, fraction=fraction, time_quality=time_quality, version=version
    )
    return build(head, body)
