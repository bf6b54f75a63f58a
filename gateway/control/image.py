"""The process image: what the control cycle knows, one frozen snapshot of its inputs per cycle. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.change import Qualities, Times, Values
from gateway.points.model import NO_ROW
from gateway.points.quality import UNUSABLE, Quality

_UNUSABLE: Final = np.uint32(UNUSABLE)
_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)


class ImagePlan:
    """Which table rows the cycle reads; made once, when the site is compiled into controllers."""

    def __init__(self, rows: Iterable[int]) -> None:
        wanted = sorted({int(row) for row in rows if row != NO_ROW})
        self.rows: NDArray[np.intp] = np.array(wanted, np.intp)
        self.slots: dict[int, int] = {row: slot for slot, row in enumerate(wanted)}
        self._bits: NDArray[np.int64] = np.zeros(0, np.int64)
        self._flags: Qualities = np.zeros(0, np.uint32)

    def take(self, value: Values, quality: Qualities, time_ns: Times, now_ns: int, wall_ns: int) -> Image:
        """The image now, from the table's columns (index = row). `now_ns` is monotonic, `wall_ns` since 1970 UTC."""
        rows = self.rows
        flags = quality.take(rows)
        values = value.take(rows)
        bits = values.view(np.int64)
        if len(self._bits) == len(bits):
            changed = ((bits != self._bits) | (flags != self._flags)).nonzero()[0].tolist()
        else:
            changed = list(range(len(bits)))
        self._bits, self._flags = bits, flags
        usable = ((flags & _UNUSABLE) == 0) & ~np.isnan(values)
        return Image(
            slots=self.slots,
            values=values.tolist(),
            usable=usable.tolist(),
            never=((flags & _NEVER) != 0).tolist(),
            times_ns=time_ns.take(rows).tolist(),
            changed=changed,
            now_ns=now_ns,
            wall_ns=wall_ns,
        )


@dataclass(slots=True, kw_only=True)
class Image:
    """Inputs of one cycle, by table row. Lists of one length, position by `slots`; nobody changes them."""

    slots: dict[int, int]
    values: list[float]
    usable: list[bool]
    """Fit for a decision: quality without `UNUSABLE` flags, and a number."""
    never: list[bool]
    """Not one value since the core started."""
    times_ns: list[int]
    """Source time, ns since 1970 UTC."""
    now_ns: int
    """Monotonic: delays, ramps."""
    wall_ns: int
    """ns since 1970 UTC: schedules, expiry that must survive a restart."""
    changed: Sequence[int] = ()
    """Slots whose value or quality differs from the image before."""

    def get(self, row: int) -> float | None:
        """The value, or None when it is not fit for a decision (or there is no such row)."""
        slot = self.slots.get(row)
        return self.values[slot] if slot is not None and self.usable[slot] else None

    def unreported(self, row: int) -> bool:
        """Whether the point exists and has not had one value yet."""
        slot = self.slots.get(row)
        return slot is not None and self.never[slot]

    def time_ns(self, row: int) -> int:
        """Source time of the value; 0 for no row."""
        slot = self.slots.get(row)
        return 0 if slot is None else self.times_ns[slot]
