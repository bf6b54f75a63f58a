"""One scan of a SunSpec device: its points, their scale factors, and guards over its models. Pure.

Beside the points a scan reads helpers: the scale factors in use, the fields that commands write along, and of each
model the identifier, the length and the counts its layout rests on: when one of these has changed, the models have
moved. Helpers are not published.
"""

from __future__ import annotations

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
_POWERS: Final = 10.0 ** np.arange(MAX_SCALE + 1)
_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)
_INVALID: Final = np.uint32(Quality.INVALID)


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
        super().__init__(bindings, limits)

    def factor(self, position: int) -> int | None:
        """The power of ten of this point now; None while it is not known or is none."""
        at = int(self.decoding.helper[position])
        power = float(self.decoding.power[position]) if at < 0 else float(self.helpers[at])
        return int(power) if abs(power) <= MAX_SCALE else None

    def _decode(self) -> tuple[Values, Qualities]:
        raw = np.full(len(self.bindings), np.nan)
        raw[self._read] = self._codec.values(self._image)
        fresh = self._read[self._got[self._block_of]]
        self._take_helpers(raw, fresh)
        last = np.zeros(len(self.bindings))
        last[self._read] = self._values
        values, qualities = self._points(raw[: self.points], last[: self.points])
        seen = fresh[fresh < self.points]
        self.missing[seen] = (qualities[seen] & _NEVER) != 0
        rest = len(self.bindings) - self.points
        values = np.concatenate([values, np.zeros(rest)])
        qualities = np.concatenate([qualities, np.zeros(rest, np.uint32)])
        return values[self._read], qualities[self._read]

    def _take_helpers(self, raw: Values, fresh: NDArray[np.int64]) -> None:
        found = fresh[fresh >= self.points] - self.points
        self.helpers[found] = raw[found + self.points]
        guard = self.decoding.guard[found]
        self.moved |= bool((~np.isnan(guard) & (self.helpers[found] != guard)).any())

    def _points(self, raw: Values, last: Values) -> tuple[Values, Qualities]:
        """Engineering values: dividing by a power of ten gives the nearest number to the decimal that is meant."""
        what = self.decoding
        with np.errstate(all="ignore"):
            missing = np.isnan(raw) | (raw == what.missing)
            power = np.where(what.helper >= 0, np.append(self.helpers, np.nan)[what.helper], what.power)
            unscaled = ~(np.abs(power) <= MAX_SCALE)
            power = np.where(unscaled, 0, power).astype(np.int64)
            values = raw * _POWERS[np.maximum(power, 0)] / _POWERS[np.maximum(-power, 0)]
            self._states(raw, values)
            values = values * what.scale + what.offset
        wrong = (unscaled | ~np.isfinite(values)) & ~missing
        keep = missing | wrong
        values[keep] = last[keep]
        qualities = np.where(missing, _NEVER, np.uint32(0)) | np.where(wrong, _INVALID, np.uint32(0))
        return values, qualities.astype(np.uint32)

    def _states(self, raw: Values, values: Values) -> None:
        what = self.decoding
        for number, reading in enumerate(READINGS):
            if reading is Reading.NUMBER:
                continue
            at = np.flatnonzero(what.reading == number)
            if len(at):
                values[at] = _STATES[reading](raw[at], what.mark[at])

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
