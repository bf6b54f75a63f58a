"""Plays the SunSpec devices of one line plan over Modbus TCP, with the faults of the Modbus simulator.

For demonstration, tests and figures only; it is never part of the gateway's own path.
"""

from __future__ import annotations

from typing import cast

from protocols.modbus.plan import UnitPlan
from protocols.modbus.simulator import ModbusSimulator
from protocols.sunspec.device import SunDevice
from protocols.sunspec.plan import SunUnitPlan


class SunSpecSimulator(ModbusSimulator):
    """The devices of a `LinePlan` of SunSpec units (`gateway.contracts.FieldSimulator`)."""

    def make_device(self, plan: UnitPlan) -> SunDevice:
        return SunDevice(cast(SunUnitPlan, plan), self.on_write)

    def device(self, unit: int = 1) -> SunDevice:
        """The device that answers for this unit."""
        return cast(SunDevice, self._devices[unit])
