"""What the page of points works with: the index to search, who gets which point, and which points are held."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gateway.alarms.model import AlarmRecord
from gateway.points.change import Changes
from gateway.points.quality import UNUSABLE, Quality
from gateway.site.addresses import Addresses, Uses
from hmi.desk import Desk
from hmi.pointsearch import PointIndex, Wish

HELD: Final = np.uint32(Quality.SUBSTITUTED | Quality.BLOCKED)
QUALITIES: Final = {
    "good": (0, True),
    "not good": (0, False),
    "unusable": (int(UNUSABLE), False),
    "held": (int(HELD), False),
    **{flag.words: (int(flag), False) for flag in Quality},
}
"""By the word of a filter: flags of which one is set; or, for good, that none is."""


@dataclass(frozen=True, slots=True)
class Use:
    """One master that gets a point."""

    uses: Uses
    address: str


class PointBook:
    """Of one desk. `begin` makes it, `book_of` finds it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._index: asyncio.Task[PointIndex] | None = None
        self._held: NDArray[np.bool_] = np.zeros(len(desk.catalogue), np.bool_)

    @property
    def addresses(self) -> Addresses:
        return self._desk.site.addresses or Addresses()

    @cached_property
    def _places(self) -> list[NDArray[np.int32]]:
        """By use and row: where in the use the row stands; -1: not at all."""
        out = []
        for uses in self.addresses.uses:
            places = np.full(len(self._desk.catalogue), -1, np.int32)
            places[uses.rows] = np.arange(len(uses.rows), dtype=np.int32)
            out.append(places)
        return out

    def uses(self, row: int) -> Iterator[Use]:
        """Every master that gets the point, and where."""
        for uses, places in zip(self.addresses.uses, self._places, strict=True):
            place = int(places[row])
            if place >= 0:
                yield Use(uses, uses.addresses[place])

    async def index(self) -> PointIndex:
        """The index; made in a thread of its own at the first call."""
        if self._index is None:
            making = asyncio.to_thread(PointIndex, self._desk.catalogue, self.addresses)
            self._index = asyncio.create_task(making)
        return await asyncio.shield(self._index)

    async def prepare(self) -> None:
        """What is held already, and the index before somebody searches; never ends."""
        self._held[:] = (self._desk.client.mirror.quality & HELD) != 0
        await self.index()
        await asyncio.Event().wait()

    async def find(self, wish: Wish, quality: str) -> NDArray[np.uint32]:
        """Rows that are wanted; `quality` is one of `QUALITIES`, or empty."""
        rows = (await self.index()).find(wish)
        if not quality:
            return rows
        flags, none = QUALITIES[quality]
        qualities = self._desk.client.mirror.quality[rows]
        chosen = qualities & np.uint32(flags) if flags else qualities
        wanted: NDArray[np.uint32] = rows[(chosen == 0) == none]
        return wanted

    def held(self) -> list[int]:
        """Rows that are substituted or blocked now."""
        return np.flatnonzero(self._desk.client.mirror.quality & HELD).tolist()

    # -- news ------------------------------------------------------------------------------------------------------

    def changes(self, batch: Changes, seq: int) -> None:
        """Tell when a point is held, or no longer."""
        held = (batch["quality"] & HELD) != 0
        rows = batch["row"]
        if (self._held[rows] != held).any():
            self._held[rows] = held
            self._desk.stream.tell("held")

    def alarms(self, records: list[AlarmRecord]) -> None:
        """Tell whose alarms stand otherwise than before."""
        alarms = self._desk.site.alarms
        if alarms is not None and self._desk.stream.listened("point_alarms"):
            names = {self._desk.catalogue.names[alarms.row[record.index]] for record in records[:500]}
            self._desk.stream.tell("point_alarms", points=sorted(names))


_BOOKS: Final[WeakKeyDictionary[Desk, PointBook]] = WeakKeyDictionary()


def begin(desk: Desk) -> None:
    """Listen, and prepare the index."""
    book = _BOOKS[desk] = PointBook(desk)
    desk.on_changes.append(book.changes)
    desk.on_alarms.append(book.alarms)
    desk.background.append(book.prepare)


def book_of(desk: Desk) -> PointBook:
    """That of this desk."""
    return _BOOKS[desk]
