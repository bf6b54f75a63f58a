"""Which reads to make: the fewest blocks, and which addresses to leave out because the device refuses them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols.modbus.plan import Bindings, Limits, Table

Range = tuple[int, int]
"""Items [low, high) of a `Shelf`."""

Search = Generator[Range, bool, None]
"""Yields ranges to read on their own; is sent whether the device answered with data."""


@dataclass(slots=True)
class Shelf:
    """The distinct spans of one table that one scan reads, in order of address, and what was learned of them.

    A span is the addresses of one value and never split. `refused` holds spans the device refuses alone;
    `barriers` holds positions that a read must not cross (the device refuses both sides together only).
    """

    table: Table
    starts: list[int]
    ends: list[int]
    gap: int
    size: int
    refused: set[int] = field(default_factory=set)
    barriers: set[int] = field(default_factory=set)

    def blocks(self) -> list[Range]:
        """The fewest ranges that cover all spans but the refused ones.

        Taking as much as fits from the lowest address on is optimal for intervals.
        """
        out: list[Range] = []
        low, reach = -1, 0
        for item, end in enumerate(self.ends):
            if item in self.refused:
                low = -1
                continue
            if low < 0 or not self._joins(low, reach, item):
                low, reach = item, end
                out.append((item, item + 1))
            else:
                reach = max(reach, end)
                out[-1] = (low, item + 1)
        return out

    def _joins(self, low: int, reach: int, item: int) -> bool:
        start, end = self.starts[item], max(reach, self.ends[item])
        return item not in self.barriers and start - reach <= self.gap and end - self.starts[low] <= self.size

    def span(self, low: int, high: int) -> tuple[int, int]:
        """First address and count of addresses of the items [low, high)."""
        start = self.starts[low]
        return start, max(self.ends[low:high]) - start

    def split(self, low: int, high: int) -> int:
        """Where to divide a refused range: at its widest gap (most often the culprit), nearest to the middle."""
        middle = (low + high) / 2
        best, best_gap, reach = low + 1, -1, self.ends[low]
        for item in range(low + 1, high):
            gap = max(self.starts[item] - reach, 0)
            if (gap, -abs(item - middle)) > (best_gap, -abs(best - middle)):
                best, best_gap = item, gap
            reach = max(reach, self.ends[item])
        return best

    def hunt(self, low: int, high: int) -> Search:
        """Find why the device refuses the items [low, high) together.

        Ends with the culprits in `refused`, or a barrier where both sides answer alone. What neither explains stays
        mergeable, so that `blocks` makes few reads again.
        """
        if high - low == 1:
            self.refused.add(low)
            return
        middle = self.split(low, high)
        all_well = True
        for part in ((low, middle), (middle, high)):
            well = yield part
            if not well:
                all_well = False
                yield from self.hunt(*part)
        if all_well:
            self.barriers.add(middle)

    def probe(self, items: list[int]) -> Search:
        """Try refused items again, one by one; those that answer are read from now on."""
        for item in items:
            if (yield (item, item + 1)):
                self.refused.discard(item)

    def refuse_all(self) -> None:
        self.refused.update(range(len(self.starts)))

    def forgive(self) -> bool:
        """Forget what was learned (the device came back, perhaps another one); whether there was anything."""
        learned = bool(self.refused or self.barriers)
        self.refused.clear()
        self.barriers.clear()
        return learned


def shelves(bindings: Bindings, limits: Limits) -> tuple[list[Shelf], NDArray[np.int64], NDArray[np.int64]]:
    """One shelf per table in use; and for every binding its shelf and its item there."""
    out: list[Shelf] = []
    shelf_of = np.zeros(len(bindings), np.int64)
    item_of = np.zeros(len(bindings), np.int64)
    for table in map(Table, np.unique(bindings.table).tolist()):
        which = np.flatnonzero(bindings.table == table)
        spans = np.stack([bindings.address[which], bindings.address[which] + bindings.width[which]], axis=1)
        distinct, inverse = np.unique(spans, axis=0, return_inverse=True)
        gap, size = (16 * limits.gap, limits.bits) if table.of_bits else (limits.gap, limits.registers)
        shelf_of[which], item_of[which] = len(out), inverse.reshape(-1)
        out.append(Shelf(table, distinct[:, 0].tolist(), distinct[:, 1].tolist(), gap, size))
    return out, shelf_of, item_of
