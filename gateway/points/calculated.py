"""Calculated points: which expressions a batch of changes touches, and what they make of it. Pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.change import Qualities, Rows, Times, Values
from gateway.points.expression import Expression
from gateway.points.model import Kind
from gateway.points.quality import UNUSABLE, Quality

_UNUSABLE: Final = int(UNUSABLE)
_INVALID: Final = int(Quality.INVALID)
_HELD: Final = int(Quality.SUBSTITUTED | Quality.BLOCKED)
_OF_UNUSABLE: Final = int(Quality.NOT_TOPICAL | Quality.COMM_LOST)
_PASSED_ON: Final = int(Quality.SUBSTITUTED | Quality.TIME_INVALID | Quality.TEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalculatedPoint:
    """One point made from points: its table row, what it carries, how it is made."""

    row: int
    kind: Kind
    expression: Expression


Calculation = tuple[Rows, Values, Qualities, Times]
"""Columns ready for `publish`, in the order of evaluation."""

_Result = tuple[float, int, int]
"""Value, quality flags, time in ns."""


def order(points: Sequence[CalculatedPoint]) -> tuple[list[CalculatedPoint], list[CalculatedPoint]]:
    """(points in the order of evaluation, points that stand in a circle or behind one), each in the given order."""
    by_row = {point.row: i for i, point in enumerate(points)}
    needs = [{by_row[int(row)] for row in point.expression.inputs if int(row) in by_row} for point in points]
    needed_by: list[list[int]] = [[] for _ in points]
    for i, inputs in enumerate(needs):
        for j in inputs:
            needed_by[j].append(i)
    waiting = [len(inputs) for inputs in needs]
    ready = [i for i, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    done: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        done.append(i)
        for j in needed_by[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                heapq.heappush(ready, j)
    placed = set(done)
    return [points[i] for i in done], [point for i, point in enumerate(points) if i not in placed]


class _Step:
    """One calculated point and what it came to last."""

    __slots__ = ("_expression", "_guards", "_inputs", "_kind", "_value", "quality", "row", "upstream")

    def __init__(self, point: CalculatedPoint, own: frozenset[int]) -> None:
        self._expression = point.expression
        self._inputs = point.expression.inputs
        self._guards: NDArray[np.bool_] | None = point.expression.guarded if point.expression.guarded.any() else None
        self._kind = point.kind
        self._value = 0.0
        self.row = point.row
        self.quality = 0
        self.upstream = [(i, row) for i, row in enumerate(self._inputs.tolist()) if row in own]
        """Inputs that are calculated themselves: position among the inputs, table row."""

    def evaluate(self, value: Values, quality: Qualities, time_ns: Times, fresh: Mapping[int, _Result]) -> _Result:
        values, qualities, times = value[self._inputs], quality[self._inputs], time_ns[self._inputs]
        for position, row in self.upstream:
            if row in fresh:
                values[position], qualities[position], times[position] = fresh[row]
        self.quality = self._weigh(values, qualities)
        return self._value, self.quality, int(times.max())

    def _weigh(self, values: Values, qualities: Qualities) -> int:
        """Calculate when the inputs allow it; returns the quality of the result."""
        bad = ((qualities & _UNUSABLE) != 0) | np.isnan(values)
        flags = int(np.bitwise_or.reduce(qualities))
        open_to = bad if self._guards is None else bad & ~self._guards
        if open_to.any():
            lost = int(np.bitwise_or.reduce(qualities[open_to]))
            return _INVALID | (lost & _OF_UNUSABLE) | (flags & _PASSED_ON)
        result = _of_kind(self._kind, self._expression.evaluate(values, None if self._guards is None else ~bad))
        if math.isnan(result):
            return _INVALID | (flags & _PASSED_ON)
        self._value = result
        return flags & _PASSED_ON


def _of_kind(kind: Kind, value: float) -> float:
    """A result as the point's kind can carry it: 0 or 1 for a binary, 0 to 3 for a double (NaN if it is none)."""
    if kind is Kind.BINARY and not math.isnan(value):
        return float(value != 0)
    if kind is Kind.DOUBLE and value not in (0.0, 1.0, 2.0, 3.0):
        return math.nan
    return value


class CalculatedPoints:
    """All calculated points of a site.

    Quality of a result: *invalid* when an input is not fit for use (or NaN), together with *not topical* and
    *comm lost* of such inputs, or when the expression has no value; then the point keeps its last value. Inputs
    that stand in ``good(...)`` are the expression's own business. *Substituted*, *time invalid* and *test* of any
    input are passed on. Its time is the newest time among its inputs.
    """

    def __init__(self, points: Sequence[CalculatedPoint]) -> None:
        """`points` in the order of evaluation (see `order`); `ValueError` otherwise."""
        own = frozenset(point.row for point in points)
        self._steps = [_Step(point, own) for point in points]
        inputs = [point.expression.inputs for point in points]
        edges = np.concatenate([*inputs, np.empty(0, np.uint32)]).astype(np.intp)
        owner = np.repeat(np.arange(len(points)), [len(rows) for rows in inputs])
        by_row = np.argsort(edges, kind="stable")
        self._beyond = int(edges.max()) + 1 if len(edges) else 0
        self._targets: NDArray[np.intp] = owner[by_row]
        self._starts: NDArray[np.intp] = np.searchsorted(edges[by_row], np.arange(self._beyond + 2))
        self._followers = [self._readers_of(np.array([point.row], np.uint32)) for point in points]
        self.inputs: Rows = np.unique(edges).astype(np.uint32)
        if any(followers and followers[0] <= i for i, followers in enumerate(self._followers)):
            raise ValueError("calculated points must be given in the order of their evaluation")

    def __len__(self) -> int:
        return len(self._steps)

    def _readers_of(self, rows: NDArray[np.integer]) -> list[int]:
        """Expressions that read any of these rows, ascending: slices of the CSR arrays, gathered at once."""
        at = np.minimum(rows, self._beyond).astype(np.intp)
        starts = self._starts[at]
        counts = self._starts[at + 1] - starts
        total = int(counts.sum())
        if total == 0:
            return []
        offsets = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        found: list[int] = np.unique(self._targets[np.repeat(starts, counts) + offsets]).tolist()
        return found

    def after(self, changed: Rows, value: Values, quality: Qualities, time_ns: Times) -> Calculation | None:
        """What follows from changes that the table (columns by row) already shows; None if no input is among them.

        A calculated point that feeds another is seen by it in the same call, unless the table shows that a
        person forced or blocked it: then what the table shows counts.
        """
        pending = self._readers_of(changed)
        if not pending:
            return None
        fresh: dict[int, _Result] = {}
        done: dict[int, _Result] = {}
        seen = set(pending)
        while pending:
            i = heapq.heappop(pending)
            step = self._steps[i]
            held = int(quality[step.row]) & _HELD & ~step.quality
            done[step.row] = result = step.evaluate(value, quality, time_ns, fresh)
            if not held:
                fresh[step.row] = result
            for follower in self._followers[i]:
                if follower not in seen:
                    seen.add(follower)
                    heapq.heappush(pending, follower)
        return _columns(done)

    def every(self, value: Values, quality: Qualities, time_ns: Times) -> Calculation | None:
        """All calculated points from what the table shows now; None if there are none."""
        return self.after(self.inputs, value, quality, time_ns)


def _columns(done: Mapping[int, _Result]) -> Calculation:
    values, qualities, times = zip(*done.values(), strict=True)
    return (
        np.array(list(done), np.uint32),
        np.array(values, np.float64),
        np.array(qualities, np.uint32),
        np.array(times, np.int64),
    )
