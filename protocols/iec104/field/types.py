"""What a controlled station may send of its process, and what each octet of quality means to us. Pure.

    bit         7    6    5    4    3    2   1   0
    SIQ, DIQ    IV   NT   SB   BL   .    .   [value]
    QDS         IV   NT   SB   BL   .    .   .   OV
    SEP, QDP    IV   NT   SB   BL   EI   .   [state of SEP]
    BCR octet   IV   CA   CY   [sequence number]

SIQ, DIQ, QDS: IEC 60870-5-101 7.2.6.1 to 7.2.6.3; QDP: 7.2.6.4; BCR: 7.2.6.9; SEP: 7.2.6.10; SPE, OCI: 7.2.6.11, .12;
SCD: 7.2.6.40. The types of protection equipment and packed single points are read on this side only.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Kind, Qualities, Quality, Values
from protocols.iec104.elements import TYPES, Element, Elements, Tag, TypeRow, dtype_of

_GOOD: Final = Quality(0)
_COMMON: Final[Mapping[int, Quality]] = {
    0x80: Quality.INVALID,
    0x40: Quality.NOT_TOPICAL,
    0x20: Quality.SUBSTITUTED,
    0x10: Quality.BLOCKED,
}
STATUS_FLAGS: Final[Mapping[int, Quality]] = {**_COMMON, **dict.fromkeys((0x08, 0x04, 0x02, 0x01), _GOOD)}
MEASURED_FLAGS: Final[Mapping[int, Quality]] = {**STATUS_FLAGS, 0x01: Quality.OVER_RANGE}
# EI says that the elapsed time is not to be trusted; no point carries it.
PROTECTION_FLAGS: Final[Mapping[int, Quality]] = STATUS_FLAGS
COUNTER_FLAGS: Final[Mapping[int, Quality]] = {
    0x80: Quality.INVALID,
    # The reading was set by hand or went back to zero since the last one: what it differs by was not metered.
    0x40: Quality.SUBSTITUTED,
    # The reading ran over its top once since the last one: it is right, and counted.
    0x20: _GOOD,
    **dict.fromkeys((0x10, 0x08, 0x04, 0x02, 0x01), _GOOD),
}
CARRY: Final = 0x20


def _lookup(flags: Mapping[int, Quality]) -> Qualities:
    octets = np.arange(256)
    table: Qualities = np.zeros(256, np.uint32)
    for bit, flag in flags.items():
        table[(octets & bit) != 0] |= np.uint32(int(flag))
    return table


_STATUS: Final = _lookup(STATUS_FLAGS)
_MEASURED: Final = _lookup(MEASURED_FLAGS)
_PROTECTION: Final = _lookup(PROTECTION_FLAGS)
_COUNTER: Final = _lookup(COUNTER_FLAGS)


def _state(elements: Elements, _low: Values, _high: Values) -> Values:
    return (elements["sep"] & 3).astype(np.float64)


def _whole(name: str) -> Element:
    def decode(elements: Elements, _low: Values, _high: Values) -> Values:
        return elements[name].astype(np.float64)

    fields = (("spe" if name == "spe" else "oci", "u1"), ("qdp", "u1"), ("elapsed", "<u2"))
    return Element(fields=fields, decode=decode, quality_field="qdp")


def _packed(elements: Elements, _low: Values, _high: Values) -> Values:
    return elements["states"].astype(np.float64)


SEP: Final = Element(fields=(("sep", "u1"), ("elapsed", "<u2")), decode=_state, quality_field="sep")
SPE: Final = _whole("spe")
OCI: Final = _whole("oci")
SCD: Final = Element(fields=(("states", "<u2"), ("changes", "<u2"), ("qds", "u1")), decode=_packed, quality_field="qds")

_MORE: Final = (
    (17, "M_EP_TA_1", SEP, Tag.CP24),
    (18, "M_EP_TB_1", SPE, Tag.CP24),
    (19, "M_EP_TC_1", OCI, Tag.CP24),
    (20, "M_PS_NA_1", SCD, Tag.NONE),
    (38, "M_EP_TD_1", SEP, Tag.CP56),
    (39, "M_EP_TE_1", SPE, Tag.CP56),
    (40, "M_EP_TF_1", OCI, Tag.CP56),
)


def _rows() -> dict[int, TypeRow]:
    rows = {number: row for number, row in TYPES.items() if row.element.quality_field or number == 21}
    for number, name, element, tag in _MORE:
        rows[number] = TypeRow(id=number, name=name, element=element, tag=tag, dtype=dtype_of(element, tag))
    return rows


MONITORED: Final[Mapping[int, TypeRow]] = MappingProxyType(_rows())
"""Every type identification that carries points in monitor direction, by number."""

_FAMILIES: Final = (
    # first type, types, kinds of a whole value, bits that can be points of their own, quality
    (1, (1, 2, 30), (Kind.BINARY,), 0, _STATUS),
    (3, (3, 4, 31), (Kind.DOUBLE,), 0, _STATUS),
    (5, (5, 6, 32), (Kind.ANALOG, Kind.COUNTER), 0, _MEASURED),
    (7, (7, 8, 33), (Kind.ANALOG, Kind.COUNTER), 32, _MEASURED),
    (9, (9, 10, 34, 21), (Kind.ANALOG, Kind.COUNTER), 0, _MEASURED),
    (11, (11, 12, 35), (Kind.ANALOG, Kind.COUNTER), 0, _MEASURED),
    (13, (13, 14, 36), (Kind.ANALOG, Kind.COUNTER), 0, _MEASURED),
    (15, (15, 16, 37), (Kind.COUNTER,), 0, _COUNTER),
    (17, (17, 38), (Kind.DOUBLE,), 0, _PROTECTION),
    (18, (18, 39), (Kind.ANALOG,), 6, _PROTECTION),
    (19, (19, 40), (Kind.ANALOG,), 4, _PROTECTION),
    (20, (20,), (Kind.ANALOG,), 16, _MEASURED),
)
FAMILY: Final[Mapping[int, int]] = {each: first for first, types, *_ in _FAMILIES for each in types}
"""Type identification -> the one its family is known by: what one point may be sent as."""
KINDS: Final[Mapping[int, tuple[Kind, ...]]] = {first: kinds for first, _, kinds, *_ in _FAMILIES}
BITS: Final[Mapping[int, int]] = {first: bits for first, _, _, bits, _ in _FAMILIES}
"""By family: bits 0 to n-1 may be binary points."""
QUALITIES: Final[Mapping[int, Qualities]] = {first: table for first, _, _, _, table in _FAMILIES}
"""By family: our flags for each value of the octet that holds the quality."""
COUNTERS: Final = 15
NORMALISED: Final = 9
EVENTS_ONLY: Final = frozenset({17, 18, 19})
"""Families that no interrogation answers with."""
WORDS: Final[Mapping[int, str]] = {
    first: "/".join(MONITORED[each].name for each in types) for first, types, *_ in _FAMILIES
}


def quality_octets(row: TypeRow, elements: Elements) -> NDArray[np.uint8]:
    """The octet of each element that holds its quality, value bits and all; zeros where the type has none."""
    if not row.element.quality_field:
        return np.zeros(len(elements), np.uint8)
    octets: NDArray[np.uint8] = elements[row.element.quality_field]
    return octets
