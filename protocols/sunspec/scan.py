"""One scan of a SunSpec device: its points, their scale factors, and guards over its models. Pure.

Beside the points a scan reads helpers: the scale factors in use, the fields that commands write along, and of each
model the identifier, the length and the counts its layout rests on: when one of these has changed, the models have
moved. Helpers are not published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Quality, Rows, Values
from protocols.modbus.plan import Bindings, Limits
from protocols.modbus.scan import Batch, Scan
from protocols.sunspec.model import MAX_SCALE
from protocols.sunspec.plan import Reading

HELPER_ROW: Final = np.uint32(0xFFFFFFFF)
READINGS: Final = tuple(Reading)
_Convert = Callable[[Values, NDArray[np.int64]], Values]

_POWERS: Final = np.arange(-MAX_SCALE, MAX_SCALE + 1)
_UP: Final = 10.0 ** np.maximum(_POWERS, 0)
_DOWN: Final = 10.0 ** np.maximum(-_POWERS, 0)
_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)
_INVALID: Final = np.uint32(Quality.INVALID)
_GOOD: Final = np.uint32(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Columns over the points of a scan; `helper` is the position of the scale factor among the helpers, or -1.

    `guard`: by helper the number that must be read there, NaN where any will do.
    """

    missing: Values
    helper: NDArray[np.int64]
    power: NDArray[np.int64]
    reading: NDArray[np.uint8]
    mark: NDArray[np.int64]
    scale: Values
    offset: Values
    guard: Values


class SunScan(Scan):
    """Reads `bindings`: first the points of `decoding`, then the helpers."""

    def __init__(self, bindings: Bindings, limits: Limits, decoding: Decoding) -> None:
        self.decoding = decoding
        self.points = len(decoding.missing)
        self.helpers: Values = np.full(len(decoding.guard), np.nan)
        """The latest raw number of each helper; NaN before it was read."""
        self.missing: NDArray[np.bool_] = np.ones(self.points, np.bool_)
        """Points the device does not implement, or that were not read yet."""
        self.moved = False
        """A guard differs: the models are no longer where they were found."""
        self._fixed = decoding.helper < 0
        self._helper = np.maximum(decoding.helper, 0)
        self._states = list(_states(decoding))
        super().__init__(bindings, limits)

    def factor(self, position: int) -> int | None:
        """The power of ten of this point now; None while it is not known or is none."""
        at = int(self.decoding.helper[position])
        power = float(self.decoding.power[position]) if at < 0 else float(self.helpers[at])
        return int(power) if abs(power) <= MAX_SCALE else None

    def _decode(self) -> tuple[Values, Qualities]:
        everything = len(self._read) == len(self.bindings)
        found = self._codec.values(self._image)
        raw = found if everything else np.full(len(self.bindings), np.nan)
        raw[self._read] = found
        fresh = self._read[self._got[self._block_of]]
        self._take_helpers(raw, fresh)
        last = self._values if everything else np.zeros(len(self.bindings))
        last[self._read] = self._values
        values, qualities = raw.copy(), np.zeros(len(raw), np.uint32)
        values[: self.points], qualities[: self.points] = self._engineering(raw[: self.points], last[: self.points])
        seen = fresh[fresh < self.points]
        self.missing[seen] = (qualities[seen] & _NEVER) != 0
        return (values, qualities) if everything else (values[self._read], qualities[self._read])

    def _take_helpers(self, raw: Values, fresh: NDArray[np.int64]) -> None:
        found = fresh[fresh >= self.points] - self.points
        self.helpers[found] = raw[found + self.points]
        guard = self.decoding.guard[found]
        self.moved |= bool((~np.isnan(guard) & (self.helpers[found] != guard)).any())

    def _engineering(self, raw: Values, last: Values) -> tuple[Values, Qualities]:
        """Engineering values: dividing by a power of ten gives the nearest number to the decimal that is meant."""
        what = self.decoding
        with np.errstate(all="ignore"):
            missing = np.isnan(raw) | (raw == what.missing)
            power = np.where(self._fixed, what.power, self.helpers.take(self._helper, mode="clip"))
            unscaled = ~(np.abs(power) <= MAX_SCALE)
            power = np.where(unscaled, 0, power).astype(np.intp) + MAX_SCALE
            values = raw * _UP.take(power) / _DOWN.take(power)
            for convert, at, mark in self._states:
                values[at] = convert(raw[at], mark)
            values = values * what.scale + what.offset
        wrong = (unscaled | ~np.isfinite(values)) & ~missing
        keep = missing | wrong
        if keep.any():
            values[keep] = last[keep]
        return values, np.where(missing, _NEVER, np.where(wrong, _INVALID, _GOOD))

    def batch(self) -> Batch | None:
        """What a finished pass brought, helpers left out; None when the models have moved."""
        found = super().batch()
        if found is None or self.moved:
            return None
        rows, values, qualities, times = found
        keep = rows != HELPER_ROW
        if isinstance(times, int):
            return rows[keep], values[keep], qualities[keep], times
        return rows[keep], values[keep], qualities[keep], times[keep]

    def skip(self, failing: bool) -> Rows:
        """As `Scan.skip`, helpers left out."""
        rows = super().skip(failing)
        kept: Rows = rows[rows != HELPER_ROW]
        return kept

    def refused(self) -> NDArray[np.int64]:
        """As `Scan.refused`, helpers left out."""
        positions = super().refused()
        return positions[positions < self.points]


def _bit(raw: Values, mark: NDArray[np.int64]) -> Values:
    return np.mod(np.floor(np.ldexp(raw, -mark)), 2.0)


def _state(raw: Values, mark: NDArray[np.int64]) -> Values:
    return np.equal(raw, mark).astype(np.float64)


def _flag(raw: Values, mark: NDArray[np.int64]) -> Values:
    return np.not_equal(raw, 0).astype(np.float64)


_STATES: Final = {Reading.BIT: _bit, Reading.STATE: _state, Reading.FLAG: _flag}


def _states(what: Decoding) -> Iterator[tuple[_Convert, NDArray[np.intp], NDArray[np.int64]]]:
    """What makes states of numbers, where, and with which marks."""
    for reading, convert in _STATES.items():
        at = np.flatnonzero(what.reading == READINGS.index(reading))
        if len(at):
            yield convert, at, what.mark[at]
