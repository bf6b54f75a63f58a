"""The plant's book as the truth, and a receiver's laid beside it: which of the plant's changes each record tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.soak.ledger import ANSWERED, EVENT, LINK_LOST, LINK_UP, LOST_TOLD, WRITE, Records, read_ledger
from tests.soak.plan import EXCURSION, SoakPlan
from tests.soak.trouble import Fault

Numbers = NDArray[np.int64]
UNKNOWN: Final = -1
"""Of a record: the plant never made this."""
PACE_NS: Final = 2_000_000_000
"""Tags within this of a step of the clock are not judged."""
CAUGHT_UP_NS: Final = 15_000_000_000
"""A state that began in an unclear time is told again within this."""
NEVER_NS: Final = -(1 << 62)
ONE_READ_NS: Final = 50_000_000
MILLISECOND: Final = 1_000_000


@dataclass(slots=True)
class Truth:
    """Every state of every point in the order in which the plant made them; change 0 stands at the begin.

    States of point p are rows `start[p]` to `start[p + 1]`, sorted by time.
    """

    plan: SoakPlan
    start: Numbers
    value: NDArray[np.float64]
    made_ns: Numbers
    left_ns: Numbers
    """The first answer with it left; 0: it was never read."""
    over_ns: Numbers
    """The next change; the end of time for the last."""
    writes: Records
    steps: list[tuple[int, int]] = field(default_factory=list)
    """(real time, by how much the gateway's clock is off from then on, ns)."""

    @classmethod
    def read(cls, plan: SoakPlan, faults: Sequence[Fault]) -> Truth:
        book = read_ledger(plan.ledgers / "plant.bin")
        made, read = _by_point(book[book["kind"] == EVENT]), _by_point(book[book["kind"] == ANSWERED])
        start = np.searchsorted(made["point"], np.arange(plan.points + 1)).astype(np.int64)
        left_ns, at = np.zeros(len(made), np.int64), 0
        counts = np.bincount(read["point"], minlength=plan.points)
        place = np.arange(len(read)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = start[read["point"]] + place
        left_ns[at] = read["time_ns"]
        over_ns = np.append(made["time_ns"][1:], np.iinfo(np.int64).max)
        over_ns[start[1:] - 1] = np.iinfo(np.int64).max
        value, made_ns = made["value"].copy(), made["time_ns"].copy()
        return cls(plan, start, value, made_ns, left_ns, over_ns, book[book["kind"] == WRITE], _steps(faults))

    @property
    def points(self) -> Numbers:
        """Of every row."""
        return np.repeat(np.arange(self.plan.points), np.diff(self.start))

    @property
    def changes(self) -> NDArray[np.bool_]:
        """Rows that are changes, and were read."""
        rows = self.left_ns > 0
        rows[self.start[:-1]] = False
        return rows

    def real_ns(self, book: Records, row: Numbers) -> Numbers:
        """When the gateway's clock showed the tags of these values: of all such times the nearest to their reading."""
        left, found = self.left_ns[row], book["time_ns"].copy()
        off_by = np.full(len(book), np.iinfo(np.int64).max)
        for real in self.possible_ns(book["time_ns"]).T:
            nearer = (real != NEVER_NS) & (np.abs(real - left) < off_by)
            found[nearer], off_by[nearer] = real[nearer], np.abs(real - left)[nearer]
        return found

    def possible_ns(self, tags_ns: Numbers) -> Numbers:
        """(tags, offsets): the real times at which the gateway's clock may have shown each tag; far off where not."""
        edges = [-(1 << 61), *(at for at, _ in self.steps), 1 << 61]
        offs = [0, *(off for _, off in self.steps)]
        columns = sorted(set(offs))
        found = np.full((len(tags_ns), len(columns)), NEVER_NS, np.int64)
        for off, begin, end in zip(offs, edges[:-1], edges[1:], strict=True):
            real = tags_ns - off
            shown = (real >= begin - PACE_NS) & (real <= end + PACE_NS)
            found[shown, columns.index(off)] = real[shown]
        return found

    def could_be(self, tag_ns: Numbers, from_ns: Numbers, until_ns: Numbers) -> NDArray[np.bool_]:
        """Whether the gateway's clock showed this tag at some time between the two."""
        edges = [-(1 << 61), *(at for at, _ in self.steps), 1 << 61]
        shown = np.zeros(np.shape(from_ns), np.bool_)
        for off, begin, end in zip([0, *(off for _, off in self.steps)], edges[:-1], edges[1:], strict=True):
            real = tag_ns - off
            shown |= (real >= np.maximum(from_ns, begin - PACE_NS)) & (real <= np.minimum(until_ns, end + PACE_NS))
        return shown

    def twice(self, times_ns: Numbers, before_ns: int = PACE_NS, after_ns: int = PACE_NS) -> NDArray[np.bool_]:
        """Whether the gateway's clock, which was stepped, showed this time when it was not, or may have, or did so
        within so long.
        """
        found = np.zeros(np.shape(times_ns), np.bool_)
        for (begin, off), (end, _) in zip(self.steps[::2], self.steps[1::2], strict=True):
            for shift in (0, off):
                found |= (times_ns >= begin + shift - before_ns) & (times_ns <= end + shift + after_ns)
        return found

    def near_step(self, real_ns: Numbers) -> NDArray[np.bool_]:
        """Whether the clock was stepped about then."""
        near = np.zeros(np.shape(real_ns), np.bool_)
        for at, _ in self.steps:
            near |= np.abs(real_ns - at) < PACE_NS
        return near


def _by_point(records: Records) -> Records:
    found: Records = records[np.argsort(records["point"], kind="stable")]
    return found


def _steps(faults: Sequence[Fault]) -> list[tuple[int, int]]:
    steps = []
    for fault in faults:
        if fault.kind == "step clock" and fault.began_ns:
            steps += [(fault.began_ns, fault.step_s * 1_000_000_000), (fault.ended_ns, 0)]
    return steps


@dataclass(slots=True)
class Told:
    """A receiver's values in the order in which they came; `row`: which of the plant's states each one tells."""

    book: Records
    """Of a database in order of its samples' times, at which they are judged, without the binaries of times that a
    stepped clock showed twice: which of the two a sample is of cannot be told."""
    row: Numbers
    ups: Numbers
    downs: Numbers
    overflows: int
    behind: NDArray[np.bool_]
    """Values directly behind one that was set aside: what stood before is not known."""

    @classmethod
    def read(
        cls, path: Path, truth: Truth, tolerance_ns: int, counted: bool = True, in_order_of_time: bool = False
    ) -> Told:
        """`counted`: each mark of lost events is one, whatever its value. `in_order_of_time`: of a database, which has
        no order but that of its samples' times.
        """
        whole = read_ledger(path)
        marks = whole["point"] < 0
        book = whole[~marks]
        behind = np.zeros(len(book), np.bool_)
        if in_order_of_time:
            book = np.sort(book, order=["point", "time_ns"], kind="stable")
            unclear = truth.twice(book["time_ns"], after_ns=CAUGHT_UP_NS)
            aside = _binaries(book["point"], truth.plan) & unclear
            behind = np.append(False, aside[:-1])[~aside]
            book = book[~aside]
        ups = whole["at_ns"][marks & (whole["kind"] == LINK_UP)]
        downs = whole["at_ns"][marks & (whole["kind"] == LINK_LOST)]
        # A 104 master is told by a point, which an interrogation shows as well: 0 is no overflow.
        overflows = int((marks & (whole["kind"] == LOST_TOLD) & ((whole["value"] > 0) | counted)).sum())
        row = _rows(book, truth, tolerance_ns, in_order_of_time)
        if in_order_of_time:
            book["at_ns"] = np.where(
                (row != UNKNOWN) & (book["quality"] == 0), truth.real_ns(book, row), book["time_ns"]
            )
        return cls(book, row, ups, downs, overflows, behind)

    def since_up_ns(self) -> Numbers:
        """Of every value: how long the link had been up again; very long for the first time."""
        # What comes in one read with the word that the link stands has the time of that read, just before the mark.
        again = self.ups[1:] - ONE_READ_NS
        place = np.searchsorted(again, self.book["at_ns"], side="right") - 1
        found = np.full(len(self.book), np.iinfo(np.int64).max)
        found[place >= 0] = self.book["at_ns"][place >= 0] - again[place[place >= 0]]
        return found

    def standing(self, from_ns: Numbers, until_ns: Numbers) -> NDArray[np.bool_]:
        """Whether the link stood from before the one until after the other."""
        stood = np.zeros(len(from_ns), np.bool_)
        for up in self.ups:
            later = self.downs[self.downs > up]
            down = later[0] if len(later) else np.iinfo(np.int64).max
            stood |= (from_ns >= up) & (until_ns <= down)
        return stood


def _binaries(points: Numbers, plan: SoakPlan) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = points % plan.per_device >= plan.analogs
    return found


def _rows(book: Records, truth: Truth, tolerance_ns: int, in_order_of_time: bool) -> Numbers:
    """An analog value says by itself which change it is; a binary's is found by value, order and time."""
    plan = truth.plan
    point, value = book["point"].astype(np.int64), book["value"]
    number = np.where(value >= EXCURSION, value - EXCURSION, value)
    whole = np.isfinite(number) & (number >= 0) & (number < 1 << 31)
    row = truth.start[point] + np.where(whole, number, 0).astype(np.int64) - 1
    inside = whole & (row >= truth.start[point]) & (row < truth.start[point + 1])
    good = inside & (truth.value[np.where(inside, row, 0)] == value)
    row = np.where(good, row, UNKNOWN)
    binary = _binaries(point, plan)
    order = np.argsort(point, kind="stable")
    bounds = np.searchsorted(point[order], np.arange(plan.points + 1))
    possible = np.zeros((0, 0), np.int64) if in_order_of_time else truth.possible_ns(book["time_ns"])
    for each in np.unique(point[binary]).tolist():
        places = order[bounds[each] : bounds[each + 1]]
        if in_order_of_time:
            _stored_binary(row, book, truth, each, places)
        else:
            _binary(row, book, possible, truth, each, places, tolerance_ns)
    return row


def _stored_binary(row: Numbers, book: Records, truth: Truth, point: int, places: Numbers) -> None:
    """Which state stood at the sample's time, or just before: the plant changes only what was read."""
    first, end = int(truth.start[point]), int(truth.start[point + 1])
    made, values = truth.made_ns[first:end], truth.value[first:end]
    stood = np.searchsorted(made, book["time_ns"][places] + 2 * MILLISECOND, side="right") - 1
    row[places] = UNKNOWN
    for before in (1, 0):
        state = np.maximum(stood - before, 0)
        fits = values[state] == book["value"][places]
        row[places[fits]] = first + state[fits]


def _binary(
    row: Numbers, book: Records, possible: Numbers, truth: Truth, point: int, places: Numbers, tolerance_ns: int
) -> None:
    """Walk along both books of one point."""
    first, end = int(truth.start[point]), int(truth.start[point + 1])
    real = truth.left_ns[first:end]
    lowest = truth.made_ns[first:end] - 2 * MILLISECOND
    highest = np.minimum(truth.over_ns[first:end], 1 << 61) + tolerance_ns
    free = truth.near_step(real) | (real == 0)
    values, at = truth.value[first:end], 0
    for place in places.tolist():
        value, tag = book["value"][place], book["time_ns"][place]
        fits = values == value
        if tag:
            true_then = free.copy()
            for real_ns in possible[place][possible[place] != NEVER_NS]:
                true_then |= (real_ns >= lowest) & (real_ns <= highest)
            fits &= true_then
        candidates = np.flatnonzero(fits)
        if not len(candidates):
            row[place] = UNKNOWN
            continue
        ahead = candidates[candidates >= at]
        sure = ahead[~free[ahead]] if tag else ahead
        chosen = (
            int(sure[0]) if len(sure) and sure[0] <= at + 2 else int(ahead[0]) if len(ahead) else int(candidates[-1])
        )
        row[place] = first + chosen
        at = max(at, chosen)
