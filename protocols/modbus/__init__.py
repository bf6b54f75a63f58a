"""Modbus TCP and RTU field driver (MODBUS Application Protocol V1.1b3, MODBUS over Serial Line V1.02)."""

from gateway.contracts import FieldProtocol

FIELD = FieldProtocol(
    settings="protocols.modbus.settings:SETTINGS",
    driver="protocols.modbus.driver:ModbusDriver",
    simulator="protocols.modbus.simulator:ModbusSimulator",
)
