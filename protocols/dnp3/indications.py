"""IIN1.5 and IIN1.6: what a master should know of the site beside its points. Pure.

LOCAL CONTROL     the site's local/remote switch does not say remote, or an output is forced at its device
DEVICE TROUBLE    a device that this master has points of does not answer
"""

from __future__ import annotations

from typing import Final

import numpy as np

from gateway.contracts import TableView
from gateway.points import UNUSABLE, Quality
from protocols.dnp3.iin import Iin
from protocols.dnp3.plan import MasterPlan
from protocols.dnp3.pointtypes import PointType

_OUTPUTS: Final = (int(PointType.BO), int(PointType.AO))
_FORCED: Final = np.uint32(Quality.LOCAL_FORCED)
_UNUSABLE: Final = np.uint32(UNUSABLE)


class Indications:
    """Looked up anew only when the table has changed."""

    def __init__(self, plan: MasterPlan, table: TableView) -> None:
        self._table = table
        self._switch = plan.local_remote
        self._devices = plan.devices
        self._outputs = plan.bindings.row[np.isin(plan.bindings.type, _OUTPUTS)]
        self._version = -1
        self._bits = 0

    def bits(self, version: int) -> int:
        """As a number; `version` is another one whenever the table may have changed."""
        if version != self._version:
            self._version = version
            self._bits = self._local() * Iin.LOCAL_CONTROL.value | self._trouble() * Iin.DEVICE_TROUBLE.value
        return self._bits

    def _local(self) -> bool:
        if self._switch is not None:
            row, remote_when = self._switch
            known = not self._table.quality[row] & _UNUSABLE
            if not known or self._table.value[row] != remote_when:
                return True
        return bool((self._table.quality[self._outputs] & _FORCED).any())

    def _trouble(self) -> bool:
        well = (self._table.value[self._devices] != 0) & ((self._table.quality[self._devices] & _UNUSABLE) == 0)
        return not bool(well.all())
