"""The walk over a device's models, in the place of a scan: the Modbus driver asks what it asks for. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Rows
from protocols.modbus import frame
from protocols.modbus.plan import Table
from protocols.modbus.scan import Batch, Scan
from protocols.sunspec.plan import SunUnitPlan
from protocols.sunspec.survey import Ask, NotSunSpec, Survey, Walk, walk

RETRY_S: Final = 30.0
"""How often a device that is not as expected is looked at again."""


class SurveyScan(Scan):
    """Has the face of a scan and none of its insides; `result` is a `Survey`, or why there is none."""

    def __init__(self, plan: SunUnitPlan) -> None:
        self._plan = plan
        self.bindings = plan.bindings
        self.period_s = RETRY_S
        self.lacking = False
        self.rows: Rows = plan.bindings.row[:0]
        self.restart()

    def restart(self) -> None:
        """Begin the walk anew."""
        self.result: Survey | str | None = None
        self._walk: Walk = walk(self._plan.models, self._plan.base)
        self._wanted_registers: Ask = next(self._walk)
        self._moved_on = False

    @property
    def begun(self) -> bool:
        return self._moved_on

    @property
    def searching(self) -> bool:
        return False

    @property
    def finished(self) -> bool:
        return self.result is not None

    def request(self) -> frame.Request:
        """The next registers of the walk."""
        return frame.read(Table.HOLDING, *self._wanted_registers)

    def take(self, data: bytes, time_ns: int) -> None:
        """The registers that were asked for."""
        self._walk_on(data)

    def refuse(self) -> None:
        """The device refuses these registers."""
        self._walk_on(None)

    def refuse_function(self) -> None:
        """The device does not read holding registers at all."""
        self.result = "the device does not know function 3 (read holding registers), which SunSpec rests on"

    def skip(self, failing: bool) -> Rows:
        """The device cannot answer now."""
        self.result = "the device answered an exception while its models were read"
        return self.rows

    def _walk_on(self, data: bytes | None) -> None:
        self._moved_on = True
        try:
            self._wanted_registers = self._walk.send(data)
        except StopIteration as end:
            self.result = end.value
        except NotSunSpec as error:
            self.result = str(error)

    def batch(self) -> Batch | None:
        """Nothing to publish."""
        return None

    def refused(self) -> NDArray[np.int64]:
        """Nothing is left out."""
        return np.empty(0, np.int64)

    def retry(self) -> None:
        """Nothing is tried again."""

    def forgive(self) -> None:
        """Begin anew."""
        self.restart()
