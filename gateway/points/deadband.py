"""Deadbands: what has moved far enough since it was last reported. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.change import Qualities, Values

Index = NDArray[np.integer]
"""Positions in the arrays of a `Deadband`, one per element of a batch."""

_FEW: Final = 16
"""Below this many elements a plain loop is quicker than numpy."""

_NEVER: Final = np.uint32(0xFFFFFFFF)
"""No quality that exists: whatever comes first differs from it."""


class Deadband:
    """One limit per binding, and the value and quality that were last reported for it.

    A value passes when it differs from the last *reported* one by more than `limit` (engineering units); with a
    limit of 0 or NaN every change passes. A change of quality passes always, unless the peer is shown none of it, and
    so does the first value. NaN differs from every number and equals NaN.
    """

    def __init__(
        self, limit: NDArray[np.float64], shown: Callable[[Index, Qualities], Qualities] | None = None
    ) -> None:
        """`limit` has one element per binding; `shown` says what of qualities the peer sees, None: all.

        Raises `ValueError` for a negative limit.
        """
        self._limit = _checked(np.asarray(limit, np.float64))
        self._shown = shown
        size = len(self._limit)
        self._value: Values = np.zeros(size, np.float64)
        self._quality: Qualities = np.full(size, _NEVER, np.uint32)
        self._seen: Qualities = self._quality.copy()
        """What the peer was shown of the qualities: this is compared."""
        self._order: NDArray[np.intp] = np.zeros(size, np.intp)

    def __len__(self) -> int:
        return len(self._limit)

    @property
    def limits(self) -> NDArray[np.float64]:
        """The limits in force, a copy."""
        return self._limit.copy()

    def set_limit(self, index: int, value: float) -> None:
        """Another limit from now on; what was last reported stays. Raises `ValueError` if negative."""
        self._limit[index] = _checked(np.array([value]))[0]

    def grow(self, size: int) -> None:
        """Room for `size` bindings; the new ones have no limit and nothing reported. Never shrinks."""
        more = max(size - len(self), 0)
        self._limit = np.concatenate((self._limit, np.zeros(more)))
        self._value = np.concatenate((self._value, np.zeros(more)))
        self._quality = np.concatenate((self._quality, np.full(more, _NEVER, np.uint32)))
        self._seen = np.concatenate((self._seen, np.full(more, _NEVER, np.uint32)))
        self._order = np.zeros(len(self), np.intp)

    def reset(self, index: Index, values: Values, qualities: Qualities) -> None:
        """Take these as last reported (for example after an interrogation). Of repeated positions the last counts."""
        self._note(index, values, qualities, self._look(index, qualities))

    def qualities(self, index: Index) -> Qualities:
        """Last reported; no quality that exists (every bit set) where nothing was."""
        return self._quality[index]

    def last(self, index: int) -> tuple[float, int] | None:
        """Value and quality last reported; None where nothing was."""
        quality = int(self._quality[index])
        return None if quality == int(_NEVER) else (float(self._value[index]), quality)

    def forget(self, index: Index) -> None:
        """As if nothing had been reported: the next value passes."""
        self._quality[index] = self._seen[index] = _NEVER

    def passes(self, index: Index, values: Values, qualities: Qualities) -> NDArray[np.bool_]:
        """Which elements of a batch are to be reported; those are noted as last reported.

        The arrays are of one length. A position may occur more than once: its elements are taken in order.
        """
        position = np.arange(len(index))
        self._order[index] = position
        seen = self._look(index, qualities)
        if bool((self._order[index] == position).all()):
            return self._step(index, values, qualities, seen)
        return self._repeated(index, values, qualities, seen)

    def _look(self, index: Index, qualities: Qualities) -> Qualities:
        return qualities if self._shown is None else self._shown(index, qualities)

    def _note(self, index: Index, values: Values, qualities: Qualities, seen: Qualities) -> None:
        self._value[index] = values
        self._quality[index] = qualities
        self._seen[index] = seen

    def _step(self, index: Index, values: Values, qualities: Qualities, seen: Qualities) -> NDArray[np.bool_]:
        out = _moved(values, self._value[index], self._limit[index])
        out |= seen != self._seen[index]
        self._note(index[out], values[out], qualities[out], seen[out])
        return out

    def _repeated(self, index: Index, values: Values, qualities: Qualities, seen: Qualities) -> NDArray[np.bool_]:
        """Elements sorted by position, in their order: all without a limit at once, the others turn by turn."""
        by_place = np.argsort(index, kind="stable")
        out = np.empty(len(index), np.bool_)
        free = self._limit[index[by_place]] == 0
        every, limited = by_place[free], by_place[~free]
        out[every] = self._every_change(index[every], values[every], qualities[every], seen[every])
        turns, sizes = _in_turns(index[limited])
        start = 0
        for size in sizes:
            if size < _FEW:
                break
            these = limited[turns[start : start + size]]
            out[these] = self._step(index[these], values[these], qualities[these], seen[these])
            start += size
        rest = limited[turns[start:]]
        columns = (index[rest], values[rest], qualities[rest], seen[rest])
        out[rest] = [self._passes_one(*one) for one in zip(*(column.tolist() for column in columns), strict=True)]
        return out

    def _passes_one(self, i: int, value: float, quality: int, seen: int) -> bool:
        """For what is left of positions that come many times: quicker than a numpy step for each turn."""
        before = float(self._value[i])
        distance = abs(value - before)
        odd = isnan(distance) and value != before and not (isnan(value) and isnan(before))
        report = seen != int(self._seen[i]) or distance > float(self._limit[i]) or odd
        if report:
            self._value[i], self._quality[i], self._seen[i] = value, quality, seen
        return report

    def _every_change(self, index: Index, values: Values, qualities: Qualities, seen: Qualities) -> NDArray[np.bool_]:
        """Without a limit the last reported value is simply the one before: nothing to be done in turns."""
        first = _firsts(index)
        before_value = np.where(first, self._value[index], _shifted(values))
        before_seen = np.where(first, self._seen[index], _shifted(seen))
        out = _moved(values, before_value, np.zeros(len(index)))
        out |= seen != before_seen
        self._note(index, values, qualities, seen)
        return out


def _checked(limit: NDArray[np.float64]) -> NDArray[np.float64]:
    limit = np.where(np.isnan(limit), 0.0, limit)
    if (limit < 0).any():
        raise ValueError("a deadband cannot be negative")
    return limit


def _moved(values: Values, before: Values, limit: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(values - before)
        out = distance > limit
        odd = np.isnan(distance)
    if odd.any():
        both_nan = np.isnan(values) & np.isnan(before)
        out |= odd & ~both_nan & (values != before)
    return out


def _firsts(index: Index) -> NDArray[np.bool_]:
    """Of a sorted index: where another position begins."""
    out = np.ones(len(index), np.bool_)
    out[1:] = index[1:] != index[:-1]
    return out


def _shifted(column: NDArray[Any]) -> NDArray[Any]:
    """Each element's predecessor; the first stands for itself."""
    return np.concatenate([column[:1], column[:-1]])


def _in_turns(index: Index) -> tuple[NDArray[np.intp], list[int]]:
    """Of a sorted index: elements ordered by how often their position came before, and the size of each turn."""
    starts = np.flatnonzero(_firsts(index))
    counts = np.diff(np.append(starts, len(index)))
    turn = np.arange(len(index)) - np.repeat(starts, counts)
    return np.argsort(turn, kind="stable"), np.bincount(turn).tolist()
