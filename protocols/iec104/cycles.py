"""What is sent without a change: cyclic transmission and background scan. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.iec104.asdu import Cause
from protocols.iec104.bindings import Index, Show
from protocols.iec104.plan import BindingColumns
from protocols.iec104.scan import Scan


@dataclass(slots=True)
class _Cycle:
    cause: Cause
    period_s: float
    index: Index
    due: float | None = None


_SORTS: Final = ((Cause.PERIODIC, "cyclic_s"), (Cause.BACKGROUND, "background_s"))


class Cycles:
    """Bindings by period. `silent`: those whose cyclic transmission the master deactivated (P_AC)."""

    def __init__(self, columns: BindingColumns, show: Show | None = None) -> None:
        self._ca = columns.ca
        self._show = show
        self.cyclic: NDArray[np.bool_] = columns.cyclic_s > 0
        self.silent: NDArray[np.bool_] = np.zeros(len(columns), np.bool_)
        self._cycles = [
            _Cycle(cause, float(period), np.flatnonzero(periods == period))
            for cause, name in _SORTS
            for periods in (getattr(columns, name),)
            for period in np.unique(periods[periods > 0])
        ]

    def next_due(self) -> float | None:
        """When something is next to be sent, in s of the clock passed in; None while nothing is."""
        return min((cycle.due for cycle in self._cycles if cycle.due is not None), default=None)

    def start(self, now: float) -> None:
        """Data transfer begins: count periods from now."""
        for cycle in self._cycles:
            cycle.due = now + cycle.period_s

    def stop(self) -> None:
        """No link is started: nothing is due."""
        for cycle in self._cycles:
            cycle.due = None

    def due(self, now: float) -> list[Scan]:
        """What is due, one scan per common address. A period that was missed is not made up."""
        scans: list[Scan] = []
        for number, cycle in enumerate(self._cycles):
            if cycle.due is not None and now >= cycle.due:
                cycle.due += cycle.period_s * (1 + (now - cycle.due) // cycle.period_s)
                scans += self._scans(number, cycle)
        return scans

    def _scans(self, number: int, cycle: _Cycle) -> list[Scan]:
        index = cycle.index[~self.silent[cycle.index]] if cycle.cause is Cause.PERIODIC else cycle.index
        addresses = self._ca[index]
        return [
            Scan((address, -1 - number), index[addresses == address], cycle.cause, show=self._show)
            for address in np.unique(addresses).tolist()
        ]
