"""Which changes are recorded: deadbands, intervals, swinging doors. Pure; a change of quality is always recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.history.batch import NO_SAMPLES, RECORD, Batch
from gateway.history.plan import RecordingPlan
from gateway.history.sampletimes import SampleTimes
from gateway.history.swingingdoor import SwingingDoors
from gateway.points.change import Changes
from gateway.points.deadband import Deadband
from gateway.points.quality import Quality

_NEVER = np.uint32(Quality.NEVER_REPORTED)


class Recorder:
    """From changes of the table to samples of the store. `series` gives each row's id in the store."""

    def __init__(self, plan: RecordingPlan, series: NDArray[np.uint32]) -> None:
        self._plan, self._series = plan, series
        self._deadband = Deadband(np.where(plan.swinging | (plan.interval_ns > 0), 0.0, plan.limit))
        self._doors = SwingingDoors(plan.limit) if plan.swinging.any() else None
        size = len(series)
        self._times = SampleTimes(size)
        self._due_ns: NDArray[np.int64] = np.zeros(size, np.int64)
        self._waiting: dict[int, Any] = {}

    def restore(self, newest: Batch, again: bool = False) -> None:
        """Go on behind what was recorded last, one sample a series in their order, as if there had been no restart.

        `again`: what stands is recorded once more, for a reader that has nothing yet.
        """
        if not len(newest):
            return
        at = np.minimum(np.searchsorted(newest["series"], self._series), len(newest) - 1)
        rows = np.flatnonzero(newest["series"][at] == self._series)
        last = newest[at[rows]]
        self._times.restore(rows, last["time_ns"] - last["late_ns"], last["time_ns"])
        if not again:
            self._deadband.reset(rows, last["value"], last["quality"])

    def take(self, batch: Changes, told_ns: int) -> Batch:
        """Samples that these changes make, in order; `told_ns`: the core's clock when it published them."""
        rows = batch["row"].astype(np.intp)
        keep = self._plan.recorded[rows] & ((batch["quality"] & _NEVER) == 0)
        if not keep.all():
            batch, rows = batch[keep], rows[keep]
        if not len(batch):
            return NO_SAMPLES
        quality_before = self._deadband.qualities(rows)
        passed = self._deadband.passes(rows, batch["value"], batch["quality"])
        batch, rows, quality_before = batch[passed], rows[passed], quality_before[passed]
        if self._waits(rows):
            batch, rows = self._held_back(batch, rows, quality_before, told_ns)
        return self._stamped(batch, rows, told_ns)

    def tick(self, now_ns: int) -> Batch:
        """Samples of points with an interval that has passed."""
        due = [row for row in self._waiting if self._due_ns[row] <= now_ns]
        if not due:
            return NO_SAMPLES
        batch = np.array([self._waiting.pop(row) for row in due])
        self._due_ns[due] = now_ns + self._plan.interval_ns[due]
        return self._stamped(batch, batch["row"].astype(np.intp), now_ns)

    def flush(self, now_ns: int) -> Batch:
        """What still waits for an interval or behind a door, at an orderly end."""
        waiting = [*self._waiting.values(), *(self._doors.flush() if self._doors else ())]
        self._waiting.clear()
        if not waiting:
            return NO_SAMPLES
        batch = np.array(waiting)
        return self._stamped(batch, batch["row"].astype(np.intp), now_ns)

    def _waits(self, rows: NDArray[np.intp]) -> bool:
        return bool(self._plan.interval_ns[rows].any() or self._plan.swinging[rows].any())

    def _held_back(
        self, batch: Changes, rows: NDArray[np.intp], quality_before: NDArray[np.uint32], told_ns: int
    ) -> tuple[Changes, NDArray[np.intp]]:
        out: list[Any] = []
        known: dict[int, int] = {}
        for row, change, before in zip(rows.tolist(), batch, quality_before.tolist(), strict=True):
            quality_changed = int(change["quality"]) != known.get(row, before)
            known[row] = int(change["quality"])
            if self._plan.swinging[row] and self._doors is not None:
                out += self._doors.step(row, change, quality_changed)
            elif self._plan.interval_ns[row] and not quality_changed and told_ns < self._due_ns[row]:
                self._waiting[row] = change
            else:
                self._waiting.pop(row, None)
                self._due_ns[row] = told_ns + self._plan.interval_ns[row]
                out.append(change)
        kept = np.array(out, batch.dtype) if out else batch[:0]
        return kept, kept["row"].astype(np.intp)

    def _stamped(self, batch: Changes, rows: NDArray[np.intp], told_ns: int) -> Batch:
        """The samples that these changes are, in order, with times of `SampleTimes`; and what came back behind one."""
        source = batch["time_ns"].astype(np.int64)
        times = self._times.of(rows, source, told_ns)
        again = self._times.behind(rows, times)
        if len(again):
            batch, rows, source = (np.concatenate([each, each[again]]) for each in (batch, rows, source))
            times = np.concatenate([times, self._times.of(rows[-len(again) :], source[-len(again) :], told_ns)])
        out = np.empty(len(batch), RECORD)
        out["series"], out["quality"], out["value"] = self._series[rows], batch["quality"], batch["value"]
        out["time_ns"], out["late_ns"] = times, times - source
        return out
