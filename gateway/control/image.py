"""The process image: what the control cycle knows, one frozen snapshot of its inputs per cycle. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.change import Changes, Qualities, Times, Values
from gateway.points.model import NO_ROW
from gateway.points.quality import UNUSABLE, Quality

_UNUSABLE: Final = np.uint32(UNUSABLE)
_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)
_UNUSABLE_FLAGS: Final = int(UNUSABLE)
_NEVER_FLAG: Final = int(Quality.NEVER_REPORTED)


class ImagePlan:
    """Which table rows the cycle reads; made once, when the site is compiled into controllers.

    `take` reads all of them, and all count as changed. `follow` applies to the image before only what `note` was told
    of, which is what most cycles need: a dozen numpy calls over columns that have left the processor's cache cost
    more than the rest of a cycle.
    """

    def __init__(self, rows: Iterable[int]) -> None:
        wanted = sorted({int(row) for row in rows if row != NO_ROW})
        self.rows: NDArray[np.intp] = np.array(wanted, np.intp)
        self.slots: dict[int, int] = {row: slot for slot, row in enumerate(wanted)}
        self._noted: list[tuple[int, int, float, int]] = []

    def take(self, value: Values, quality: Qualities, time_ns: Times, now_ns: int, wall_ns: int) -> Image:
        """The image now, from the table's columns (index = row). `now_ns` is monotonic, `wall_ns` since 1970 UTC."""
        rows = self.rows
        flags = quality.take(rows)
        values = value.take(rows)
        self._noted.clear()
        return Image(
            slots=self.slots,
            values=values.tolist(),
            usable=(((flags & _UNUSABLE) == 0) & ~np.isnan(values)).tolist(),
            never=((flags & _NEVER) != 0).tolist(),
            times_ns=time_ns.take(rows).tolist(),
            changed=range(len(rows)),
            now_ns=now_ns,
            wall_ns=wall_ns,
        )

    def retake(self, before: Image, value: Values, quality: Qualities, time_ns: Times) -> Image:
        """The image anew, after `follow`: what differs although nothing was told of it counts as changed too."""
        image = self.take(value, quality, time_ns, before.now_ns, before.wall_ns)
        told = set(before.changed)
        differs = np.array(before.values).view(np.int64) != np.array(image.values).view(np.int64)
        differs |= np.array(before.usable, np.bool_) != np.array(image.usable, np.bool_)
        differs |= np.array(before.never, np.bool_) != np.array(image.never, np.bool_)
        image.changed = sorted(told.union(differs.nonzero()[0].tolist()))
        return image

    def note(self, batch: Changes) -> None:
        """Changes of the table in rows of the image, in order."""
        self._noted.extend(batch.tolist())

    def follow(self, image: Image, now_ns: int, wall_ns: int) -> None:
        """Bring the image before up to now by what was noted since."""
        image.now_ns, image.wall_ns = now_ns, wall_ns
        noted = self._noted
        if not noted:
            image.changed = ()
            return
        slots, changed = self.slots, set[int]()
        values, usable, never, times_ns = image.values, image.usable, image.never, image.times_ns
        for row, flags, value, time_ns in noted:
            slot = slots[row]
            values[slot], times_ns[slot] = value, time_ns
            usable[slot] = not (flags & _UNUSABLE_FLAGS or math.isnan(value))
            never[slot] = bool(flags & _NEVER_FLAG)
            changed.add(slot)
        noted.clear()
        image.changed = sorted(changed)


@dataclass(slots=True, kw_only=True)
class Image:
    """Inputs of one cycle, by table row. Lists of one length, position by `slots`; `ImagePlan` alone changes them,
    between two cycles."""

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
