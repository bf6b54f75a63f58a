"""The table of type identifications (IEC 60870-5-101 7.2.1): one row each, and how each element is coded.

An information element is described by the numpy fields it consists of, little endian as on the wire. A family of
types (with no, a short or a long time tag) shares one `Element`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Kind, Qualities, Times, Values
from gateway.points.shown import ALL_QUALITIES
from protocols.iec104 import quality, time56
from protocols.iec104.errors import Iec104Error
from protocols.iec104.values import Batch, clamp

Octets = NDArray[np.uint8]
Elements = NDArray[np.void]
"""Structured array, one record per information object."""
_TIME_INVALID: Final = np.uint32(1 << 8)
_TEST: Final = np.uint32(1 << 9)


class Tag(IntEnum):
    """Time tag behind an element; the value is its length in octets."""

    NONE = 0
    CP24 = 3
    CP56 = 7


def _encode_siq(out: Elements, batch: Batch) -> None:
    known = ~np.isnan(batch.values)
    state = known & (batch.values != 0)
    out["siq"] = quality.status(batch.qualities) | state | (~known * quality.IV)


def _encode_diq(out: Elements, batch: Batch) -> None:
    state, outside = clamp(batch.values, 0, 3)
    bad = outside | np.isnan(batch.values)
    out["diq"] = quality.status(batch.qualities) | np.where(bad, 3, state).astype(np.uint8) | (bad * quality.IV)


def _encode_step(out: Elements, batch: Batch) -> None:
    position, outside = clamp(batch.values, -64, 63)
    out["vti"] = position.astype(np.int64) & 0x7F
    out["qds"] = _measured(batch, outside)


def _encode_bits(out: Elements, batch: Batch) -> None:
    pattern, outside = clamp(batch.values, 0, 0xFFFFFFFF)
    out["bsi"] = pattern
    # A pattern cut to 32 bits is another pattern, not a nearby one: invalid, not only overflowed.
    out["qds"] = _measured(batch, outside) | (outside * quality.IV)


def _encode_normalised(out: Elements, batch: Batch) -> None:
    raw, outside = _normalise(batch)
    out["nva"] = raw
    out["qds"] = _measured(batch, outside)


def _encode_bare_normalised(out: Elements, batch: Batch) -> None:
    out["nva"] = _normalise(batch)[0]


def _normalise(batch: Batch) -> tuple[Values, NDArray[np.bool_]]:
    raw = (2 * (batch.values - batch.low) / (batch.high - batch.low) - 1) * 32_768
    # +1 is one step beyond the largest number there is: the top of the range is no overflow.
    return clamp(np.where(raw == 32_768, 32_767, raw), -32_768, 32_767)


def _encode_scaled(out: Elements, batch: Batch) -> None:
    out["sva"], outside = clamp(batch.values, -32_768, 32_767)
    out["qds"] = _measured(batch, outside)


_FLOAT_MAX: Final = float(np.finfo(np.float32).max)


def _encode_float(out: Elements, batch: Batch) -> None:
    unknown = np.isnan(batch.values)
    kept = np.clip(batch.values, -_FLOAT_MAX, _FLOAT_MAX)
    out["r32"] = kept
    outside = (kept != batch.values) & ~unknown
    out["qds"] = _measured(batch, outside) | (np.isinf(batch.values) * quality.IV)


def _measured(batch: Batch, outside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    unknown = np.isnan(batch.values)
    bits = quality.qds(batch.qualities) | outside.astype(np.uint8) | (unknown * quality.IV)
    octets: NDArray[np.uint8] = bits.astype(np.uint8)
    return octets


def _encode_counter(out: Elements, batch: Batch) -> None:
    reading, outside = clamp(batch.values, -(2**31), 2**31 - 1)
    bad = outside | np.isnan(batch.values)
    out["bcr"] = reading
    carried = (outside & (batch.values > 0)) * quality.COUNTER_CARRY
    out["seq"] = quality.counter(batch.qualities) | (bad * quality.IV) | carried


def _decode_siq(elements: Elements, _low: Values, _high: Values) -> Values:
    return (elements["siq"] & 1).astype(np.float64)


def _decode_diq(elements: Elements, _low: Values, _high: Values) -> Values:
    return (elements["diq"] & 3).astype(np.float64)


def _decode_step(elements: Elements, _low: Values, _high: Values) -> Values:
    return ((elements["vti"].astype(np.int64) & 0x7F ^ 0x40) - 0x40).astype(np.float64)


def _decode_normalised(elements: Elements, low: Values, high: Values) -> Values:
    return low + (elements["nva"].astype(np.float64) / 32_768 + 1) / 2 * (high - low)


def _decode_field(name: str) -> Callable[[Elements, Values, Values], Values]:
    def decode(elements: Elements, _low: Values, _high: Values) -> Values:
        return elements[name].astype(np.float64)

    return decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One information element: its fields, how a batch of points is written to it and how its value is read."""

    fields: tuple[tuple[str, str], ...]
    encode: Callable[[Elements, Batch], None] | None = None
    decode: Callable[[Elements, Values, Values], Values] | None = None
    quality_field: str = ""
    quality_mask: int = 0xFF


SIQ = Element(fields=(("siq", "u1"),), encode=_encode_siq, decode=_decode_siq, quality_field="siq", quality_mask=0xF0)
DIQ = Element(fields=(("diq", "u1"),), encode=_encode_diq, decode=_decode_diq, quality_field="diq", quality_mask=0xF0)
VTI = Element(fields=(("vti", "u1"), ("qds", "u1")), encode=_encode_step, decode=_decode_step, quality_field="qds")
BSI = Element(
    fields=(("bsi", "<u4"), ("qds", "u1")), encode=_encode_bits, decode=_decode_field("bsi"), quality_field="qds"
)
NVA = Element(
    fields=(("nva", "<i2"), ("qds", "u1")),
    encode=_encode_normalised,
    decode=_decode_normalised,
    quality_field="qds",
)
NVA_BARE = Element(fields=(("nva", "<i2"),), encode=_encode_bare_normalised, decode=_decode_normalised)
SVA = Element(
    fields=(("sva", "<i2"), ("qds", "u1")), encode=_encode_scaled, decode=_decode_field("sva"), quality_field="qds"
)
R32 = Element(
    fields=(("r32", "<f4"), ("qds", "u1")), encode=_encode_float, decode=_decode_field("r32"), quality_field="qds"
)
BCR = Element(
    fields=(("bcr", "<i4"), ("seq", "u1")),
    encode=_encode_counter,
    decode=_decode_field("bcr"),
    quality_field="seq",
    quality_mask=0xE0,
)
COI = Element(fields=(("coi", "u1"),))
SCO = Element(fields=(("sco", "u1"),))
DCO = Element(fields=(("dco", "u1"),))
RCO = Element(fields=(("rco", "u1"),))
SE_NVA = Element(fields=(("nva", "<i2"), ("qos", "u1")), decode=_decode_normalised)
SE_SVA = Element(fields=(("sva", "<i2"), ("qos", "u1")), decode=_decode_field("sva"))
SE_R32 = Element(fields=(("r32", "<f4"), ("qos", "u1")), decode=_decode_field("r32"))
BITS = Element(fields=(("bsi", "<u4"),), decode=_decode_field("bsi"))
QOI = Element(fields=(("qoi", "u1"),))
QCC = Element(fields=(("qcc", "u1"),))
EMPTY = Element(fields=())
FBP = Element(fields=(("fbp", "<u2"),))
TSC = Element(fields=(("tsc", "<u2"),))
QRP = Element(fields=(("qrp", "u1"),))
P_NVA = Element(fields=(("nva", "<i2"), ("qpm", "u1")))
P_SVA = Element(fields=(("sva", "<i2"), ("qpm", "u1")))
P_R32 = Element(fields=(("r32", "<f4"), ("qpm", "u1")))
QPA = Element(fields=(("qpa", "u1"),))

_NO_KIND: Final[frozenset[Kind]] = frozenset()
_BINARY: Final = frozenset({Kind.BINARY})
_DOUBLE: Final = frozenset({Kind.DOUBLE})
_MEASURED: Final = frozenset({Kind.ANALOG, Kind.COUNTER})
_COUNTER: Final = frozenset({Kind.COUNTER})
_CONTROL: Final = frozenset({Kind.CONTROL})
_SETPOINT: Final = frozenset({Kind.SETPOINT})


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRow:
    """One type identification. `untimed` and `timed` are the ids of its twins with no and with a CP56 tag."""

    id: int
    name: str
    element: Element
    tag: Tag = Tag.NONE
    kinds: frozenset[Kind] = _NO_KIND
    untimed: int = 0
    timed: int = 0
    dtype: np.dtype[np.void]

    @property
    def control(self) -> bool:
        """Sent by the master (45 and above); else monitored, sent by us."""
        return self.id >= 45 and self.id != 70

    @property
    def size(self) -> int:
        """Octets of one element with its time tag, without the address."""
        return self.dtype.itemsize


def dtype_of(element: Element, tag: Tag) -> np.dtype[np.void]:
    """One record of an element and its time tag, as on the wire."""
    fields: list[Any] = list(element.fields)
    if tag:
        fields.append(("time", "u1", (int(tag),)))
    return np.dtype(fields)


_FAMILIES: Final[tuple[tuple[Element, frozenset[Kind], tuple[tuple[int, str, Tag], ...]], ...]] = (
    (SIQ, _BINARY, ((1, "M_SP_NA_1", Tag.NONE), (2, "M_SP_TA_1", Tag.CP24), (30, "M_SP_TB_1", Tag.CP56))),
    (DIQ, _DOUBLE, ((3, "M_DP_NA_1", Tag.NONE), (4, "M_DP_TA_1", Tag.CP24), (31, "M_DP_TB_1", Tag.CP56))),
    (VTI, _MEASURED, ((5, "M_ST_NA_1", Tag.NONE), (6, "M_ST_TA_1", Tag.CP24), (32, "M_ST_TB_1", Tag.CP56))),
    (BSI, _MEASURED, ((7, "M_BO_NA_1", Tag.NONE), (8, "M_BO_TA_1", Tag.CP24), (33, "M_BO_TB_1", Tag.CP56))),
    (NVA, _MEASURED, ((9, "M_ME_NA_1", Tag.NONE), (10, "M_ME_TA_1", Tag.CP24), (34, "M_ME_TD_1", Tag.CP56))),
    (SVA, _MEASURED, ((11, "M_ME_NB_1", Tag.NONE), (12, "M_ME_TB_1", Tag.CP24), (35, "M_ME_TE_1", Tag.CP56))),
    (R32, _MEASURED, ((13, "M_ME_NC_1", Tag.NONE), (14, "M_ME_TC_1", Tag.CP24), (36, "M_ME_TF_1", Tag.CP56))),
    (BCR, _COUNTER, ((15, "M_IT_NA_1", Tag.NONE), (16, "M_IT_TA_1", Tag.CP24), (37, "M_IT_TB_1", Tag.CP56))),
    (NVA_BARE, _MEASURED, ((21, "M_ME_ND_1", Tag.NONE),)),
    (COI, _NO_KIND, ((70, "M_EI_NA_1", Tag.NONE),)),
    (SCO, _CONTROL, ((45, "C_SC_NA_1", Tag.NONE), (58, "C_SC_TA_1", Tag.CP56))),
    (DCO, _CONTROL, ((46, "C_DC_NA_1", Tag.NONE), (59, "C_DC_TA_1", Tag.CP56))),
    (RCO, _CONTROL, ((47, "C_RC_NA_1", Tag.NONE), (60, "C_RC_TA_1", Tag.CP56))),
    (SE_NVA, _SETPOINT, ((48, "C_SE_NA_1", Tag.NONE), (61, "C_SE_TA_1", Tag.CP56))),
    (SE_SVA, _SETPOINT, ((49, "C_SE_NB_1", Tag.NONE), (62, "C_SE_TB_1", Tag.CP56))),
    (SE_R32, _SETPOINT, ((50, "C_SE_NC_1", Tag.NONE), (63, "C_SE_TC_1", Tag.CP56))),
    (BITS, _SETPOINT, ((51, "C_BO_NA_1", Tag.NONE), (64, "C_BO_TA_1", Tag.CP56))),
    (QOI, _NO_KIND, ((100, "C_IC_NA_1", Tag.NONE),)),
    (QCC, _NO_KIND, ((101, "C_CI_NA_1", Tag.NONE),)),
    (EMPTY, _NO_KIND, ((102, "C_RD_NA_1", Tag.NONE),)),
    (EMPTY, _NO_KIND, ((103, "C_CS_NA_1", Tag.CP56),)),
    (FBP, _NO_KIND, ((104, "C_TS_NA_1", Tag.NONE),)),
    (QRP, _NO_KIND, ((105, "C_RP_NA_1", Tag.NONE),)),
    (TSC, _NO_KIND, ((107, "C_TS_TA_1", Tag.CP56),)),
    (P_NVA, _NO_KIND, ((110, "P_ME_NA_1", Tag.NONE),)),
    (P_SVA, _NO_KIND, ((111, "P_ME_NB_1", Tag.NONE),)),
    (P_R32, _NO_KIND, ((112, "P_ME_NC_1", Tag.NONE),)),
    (QPA, _NO_KIND, ((113, "P_AC_NA_1", Tag.NONE),)),
)


def _rows() -> dict[int, TypeRow]:
    rows: dict[int, TypeRow] = {}
    for element, kinds, members in _FAMILIES:
        twins = {tag: number for number, _, tag in members}
        for number, name, tag in members:
            rows[number] = TypeRow(
                id=number,
                name=name,
                element=element,
                tag=tag,
                kinds=kinds,
                untimed=twins.get(Tag.NONE, 0),
                timed=twins.get(Tag.CP56, 0),
                dtype=dtype_of(element, tag),
            )
    return rows


TYPES: Final[Mapping[int, TypeRow]] = MappingProxyType(_rows())
"""Every type identification this package knows, by number."""

BY_NAME: Final[Mapping[str, TypeRow]] = MappingProxyType({row.name: row for row in TYPES.values()})


def encode(row: TypeRow, batch: Batch, times_ns: Times, zone: time56.Zone) -> Octets:
    """Elements of a monitored type with their time tags: shape (n, row.size). `ValueError` for another type."""
    if row.element.encode is None:
        raise ValueError(f"{row.name} carries no point")
    out = np.empty(len(batch.values), row.dtype)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        row.element.encode(out, batch)
    if row.tag:
        invalid = quality.time_invalid(batch.qualities)
        out["time"] = time56.encode(times_ns, invalid, zone)[:, : int(row.tag)]
    return out.view(np.uint8).reshape(len(out), row.size)


def values(row: TypeRow, elements: Elements, low: Values, high: Values) -> Values:
    """Engineering values of elements; `low` and `high` are the range that normalised values span.

    Raises `Iec104Error` for a type that carries no value.
    """
    if row.element.decode is None:
        raise Iec104Error(f"{row.name} carries no value")
    # A signalling NaN from a peer is a NaN like any other, not a warning on our side.
    with np.errstate(invalid="ignore"):
        return row.element.decode(elements, low, high)


def quality_bits(row: TypeRow, elements: Elements) -> NDArray[np.uint8]:
    """Quality octets as sent, value bits masked out; zeros for a type without quality."""
    if not row.element.quality_field:
        return np.zeros(len(elements), np.uint8)
    octets: NDArray[np.uint8] = elements[row.element.quality_field] & np.uint8(row.element.quality_mask)
    return octets


def shown(row: TypeRow) -> Qualities:
    """By combination of flags: the quality octet, the IV of the time tag and the T of the cause."""
    size = len(ALL_QUALITIES)
    element = np.zeros(size, dtype_of(row.element, Tag.NONE))
    if row.element.encode is not None:
        row.element.encode(element, Batch(np.zeros(size), ALL_QUALITIES, np.zeros(size), np.ones(size)))
    bits = quality_bits(row, element).astype(np.uint32) | quality.test(ALL_QUALITIES) * _TEST
    return bits | quality.time_invalid(ALL_QUALITIES) * _TIME_INVALID if row.tag else bits


def times(row: TypeRow, elements: Elements, zone: time56.Zone) -> tuple[Times, NDArray[np.bool_]]:
    """ns since 1970 UTC and IV bits of elements with CP56 tags. Raises `Iec104Error` for others or a bad date."""
    if row.tag is not Tag.CP56:
        raise Iec104Error(f"{row.name} has no CP56Time2a")
    return time56.decode(elements["time"], zone)
