"""What of a point's quality its events show a master: a change of the rest is no event. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from gateway.points import Qualities, Quality
from gateway.points.shown import ALL_QUALITIES, Shown
from protocols.dnp3 import quality
from protocols.dnp3.objecttable import OBJECTS
from protocols.dnp3.plan import BindingColumns
from protocols.dnp3.pointtypes import TYPES, PointType, TypeRow

_TIME_INVALID: Final = np.uint32(Quality.TIME_INVALID)
_UNSYNCHRONISED: Final = np.uint32(1 << 8)


def shown(columns: BindingColumns) -> Shown:
    """By type and default event variation of each binding."""
    keys = columns.type.astype(np.uint16) << 8 | columns.event_var
    forms, form = np.unique(keys, return_inverse=True)
    return Shown(form, [_table(TYPES[PointType(key >> 8)], key & 0xFF) for key in forms.tolist()])


def _table(row: TypeRow, variation: int) -> Qualities:
    """The flag octet and, where times are relative to a common one, whether that is synchronised."""
    octets = quality.flags(row.family, ALL_QUALITIES).astype(np.uint32)
    event = OBJECTS.get((row.event_group, variation))
    if event is None or not event.relative_time:
        return octets
    octets |= np.where(ALL_QUALITIES & _TIME_INVALID, _UNSYNCHRONISED, 0).astype(np.uint32)
    return octets
