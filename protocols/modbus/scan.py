"""One scan: the points of one unit that are read at one rate, their blocks, and the pass over them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Rows, Times, Values
from protocols.modbus import frame
from protocols.modbus.codec import Codec
from protocols.modbus.plan import Bindings, Limits, Table
from protocols.modbus.planner import Search, shelves

PROBES_PER_RETRY = 16
"""How many refused spans are tried again at a time."""


@dataclass(frozen=True, slots=True)
class Block:
    """One planned read: items [low, high) of a shelf, and where its answer goes in the image."""

    shelf: int
    low: int
    high: int
    request: frame.Request
    at: int


Batch = tuple[Rows, Values, Qualities, Times | int]


class Scan:
    """Blocks, image and decoder of one scan; knows nothing of connections or clocks.

    Ask `request()`, then give exactly one of `take` (data), `refuse` (exception 2 or 3) or `skip` (another
    exception); at the end of a pass `batch()` is what to publish. While it looks for a refused address the
    requests are the search's; `searching` says so.
    """

    def __init__(self, bindings: Bindings, limits: Limits) -> None:
        self.bindings = bindings
        self.period_s = float(bindings.scan_s[0])
        self._shelves, self._shelf_of, self._item_of = shelves(bindings, limits)
        self._last = np.zeros(len(bindings), np.float64)
        self._search: Search | None = None
        self._search_shelf = 0
        self._wanted: tuple[int, int] = (0, 0)
        self._rotation = itertools.count()
        self._compile()

    def _compile(self) -> None:
        """Blocks, image and decoder from what the shelves know now."""
        self.blocks: list[Block] = []
        at = 0
        block_of = np.full(len(self.bindings), -1, np.int64)
        for number, shelf in enumerate(self._shelves):
            block_of_item = np.full(len(shelf.starts), -1, np.int64)
            for low, high in shelf.blocks():
                request = frame.read(shelf.table, *shelf.span(low, high))
                block_of_item[low:high] = len(self.blocks)
                self.blocks.append(Block(number, low, high, request, at))
                at += request.nbytes
            here = self._shelf_of == number
            block_of[here] = block_of_item[self._item_of[here]]
        self._image = np.zeros(at, np.uint8)
        self._memory = memoryview(self._image)  # type: ignore[arg-type]
        self._read = np.flatnonzero(block_of >= 0)
        self._block_of = block_of[self._read]
        self._values = self._last[self._read]
        read = self.bindings.take(self._read)
        self.rows: Rows = read.row
        self._codec = Codec(read, self._bases(read))
        self.lacking = len(read) < len(self.bindings)
        self._failing: set[int] = set()
        self.restart()

    def _bases(self, read: Bindings) -> NDArray[np.int64]:
        """Where each point that is read begins in the image: bytes for registers, bits for bit tables."""
        starts = np.array([self._shelves[block.shelf].starts[block.low] for block in self.blocks], np.int64)
        at = np.array([block.at for block in self.blocks], np.int64)[self._block_of]
        away = read.address - starts[self._block_of]
        return np.where(read.table < Table.INPUT, 8 * at + away, at + 2 * away)

    def restart(self) -> None:
        """Begin a new pass; drops a search and what the last pass had so far."""
        self.cursor = 0
        self._search = None
        self._got = np.zeros(len(self.blocks), np.bool_)
        self._times = np.zeros(len(self.blocks), np.int64)

    @property
    def begun(self) -> bool:
        return self.cursor > 0 or self.searching

    @property
    def searching(self) -> bool:
        return self._search is not None

    @property
    def finished(self) -> bool:
        return self.cursor >= len(self.blocks) and not self.searching

    def request(self) -> frame.Request:
        """What to send now. Only while not `finished`."""
        if self._search is None:
            return self.blocks[self.cursor].request
        shelf = self._shelves[self._search_shelf]
        return frame.read(shelf.table, *shelf.span(*self._wanted))

    def take(self, data: bytes, time_ns: int) -> None:
        """The answer to `request()`."""
        if self._search is not None:
            self._advance(True)
            return
        block = self.blocks[self.cursor]
        self._memory[block.at : block.at + len(data)] = data
        self._times[self.cursor] = time_ns
        self._got[self.cursor] = True
        self._failing.discard(self.cursor)
        self.cursor += 1

    def refuse(self) -> None:
        """The device refuses the addresses of `request()`: look for the culprit."""
        if self._search is not None:
            self._advance(False)
            return
        block = self.blocks[self.cursor]
        self._begin(block.shelf, self._shelves[block.shelf].hunt(block.low, block.high))

    def refuse_function(self) -> None:
        """The device does not know the function of `request()`: its whole table is refused."""
        number = self._search_shelf if self.searching else self.blocks[self.cursor].shelf
        self._shelves[number].refuse_all()
        self._keep_last()
        self._compile()

    def skip(self, failing: bool) -> Rows:
        """The block of `request()` was not read in this pass.

        When it is `failing`, returns its rows the first time, so that it is told once until it is read again.
        """
        none = self.rows[:0]
        if self._search is not None:
            self.restart()
            return none
        block, self.cursor = self.cursor, self.cursor + 1
        if not failing or block in self._failing:
            return none
        self._failing.add(block)
        return np.ascontiguousarray(self.rows[self._block_of == block])

    def _begin(self, shelf: int, search: Search) -> None:
        self._search, self._search_shelf = search, shelf
        self._advance(None)

    def _advance(self, well: bool | None) -> None:
        """The search's next wish; with none left, plan anew from what it found."""
        if self._search is None:
            return
        try:
            self._wanted = next(self._search) if well is None else self._search.send(well)
        except StopIteration:
            self._keep_last()
            self._compile()

    def _keep_last(self) -> None:
        self._last[self._read] = self._values

    def refused(self) -> NDArray[np.int64]:
        """Positions in `bindings` of the points that are not read because the device refuses them."""
        out = np.ones(len(self.bindings), np.bool_)
        out[self._read] = False
        return np.flatnonzero(out)

    def retry(self) -> None:
        """Try some refused spans again, in rotation; the rest waits for the next retry."""
        lacking = [number for number, shelf in enumerate(self._shelves) if shelf.refused]
        if not lacking:
            return
        turn = next(self._rotation)
        number = lacking[turn % len(lacking)]
        items = sorted(self._shelves[number].refused)
        first = turn // len(lacking) * PROBES_PER_RETRY % len(items)
        self._begin(number, self._shelves[number].probe((items[first:] + items[:first])[:PROBES_PER_RETRY]))

    def forgive(self) -> None:
        """Begin anew as if nothing had been refused or had failed."""
        self._failing.clear()
        self.restart()
        learned = [shelf.forgive() for shelf in self._shelves]
        if any(learned):
            self._keep_last()
            self._compile()

    def _decode(self) -> tuple[Values, Qualities]:
        """Values and qualities of what `rows` names, from the image."""
        return self._codec.decode(self._image, self._values)

    def batch(self) -> Batch | None:
        """What a finished pass brought: rows, values, qualities and times; None when nothing was read."""
        if not self._got.any():
            return None
        values, qualities = self._decode()
        times: Times | int = int(self._times[0]) if len(self.blocks) == 1 else self._times[self._block_of]
        if self._got.all():
            self._values = values
            return self.rows, values, qualities, times
        kept = np.flatnonzero(self._got[self._block_of])
        self._values[kept] = values[kept]
        return self.rows[kept], values[kept], qualities[kept], self._times[self._block_of[kept]]


def scans(bindings: Bindings, limits: Limits) -> list[Scan]:
    """One scan per rate, the fastest first; rows in order within each."""
    ordered = bindings.take(np.argsort(bindings.row, kind="stable"))
    return [
        Scan(ordered.take(np.flatnonzero(ordered.scan_s == period)), limits) for period in np.unique(ordered.scan_s)
    ]
