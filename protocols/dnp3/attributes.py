"""Device attributes (g0): who we are and what we have, each under its variation. Pure.

    qualifier 00 | set, set | data type | length | octets          the standard's set is 0

Variation 254 asks for all of them, 255 for the list of variations (IEEE 1815-2012 A.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocols.dnp3.database import Database
from protocols.dnp3.errors import ObjectUnknown, ParameterError
from protocols.dnp3.headers import ObjectHeader, range_head
from protocols.dnp3.plan import Parameters
from protocols.dnp3.pointtypes import PointType

_VISIBLE_STRING: Final = 1
_UNSIGNED: Final = 2
_LIST: Final = 254
ALL: Final = 254
LIST: Final = 255

_COUNT_OF: Final[Mapping[int, PointType]] = {
    221: PointType.AO,
    224: PointType.BO,
    229: PointType.CTR,
    233: PointType.AI,
    236: PointType.DBI,
    239: PointType.BI,
}
_HIGHEST_OF: Final[Mapping[int, PointType]] = {
    220: PointType.AO,
    223: PointType.BO,
    228: PointType.CTR,
    232: PointType.AI,
    235: PointType.DBI,
    238: PointType.BI,
}
_EVENTS_OF: Final[Mapping[int, PointType]] = {
    219: PointType.AO,
    222: PointType.BO,
    225: PointType.FCTR,
    227: PointType.CTR,
    231: PointType.AI,
    234: PointType.DBI,
    237: PointType.BI,
}
"""Whether there are events of a type; frozen counters and frozen analogs at all: 226 and 230."""


class AttributeTable:
    """The attributes of one outstation towards one master."""

    def __init__(self, database: Database, parameters: Parameters) -> None:
        numbers = {
            216: parameters.max_controls,
            226: int(database.count(PointType.FCTR) > 0),
            230: int(database.count(PointType.FAI) > 0),
            240: parameters.fragment_size,
            241: parameters.receive_size,
            **{number: database.count(kind) for number, kind in _COUNT_OF.items()},
            **{number: database.highest(kind) for number, kind in _HIGHEST_OF.items()},
            **{number: int(database.count(kind) > 0) for number, kind in _EVENTS_OF.items()},
        }
        coded = {number: _unsigned(value) for number, value in numbers.items()}
        texts = {number: _string(text) for number, text in parameters.attributes}
        self._coded = dict(sorted({**coded, **texts, 249: _string("2:2012")}.items()))

    def read(self, header: ObjectHeader) -> list[bytes]:
        """Blocks with their headers. Raises `ObjectUnknown` or `ParameterError`."""
        if not header.all and not (header.ranged and header.start == header.stop == 0):
            raise ParameterError("device attributes are those of set 0")
        if header.variation == ALL:
            return [_block(number, coded) for number, coded in self._coded.items()]
        if header.variation == LIST:
            pairs = b"".join(bytes((number, 0)) for number in self._coded)
            return [_block(LIST, bytes((_LIST, len(pairs))) + pairs)]
        coded = self._coded.get(header.variation)
        if coded is None:
            raise ObjectUnknown(f"{header.label}: no such attribute")
        return [_block(header.variation, coded)]


def _block(variation: int, coded: bytes) -> bytes:
    return range_head(0, variation, 0, 0) + coded


def _string(text: str) -> bytes:
    octets = text.encode("ascii")
    return bytes((_VISIBLE_STRING, len(octets))) + octets


def _unsigned(value: int) -> bytes:
    size = 1 if value < 1 << 8 else 2 if value < 1 << 16 else 4
    return bytes((_UNSIGNED, size)) + value.to_bytes(size, "little")
