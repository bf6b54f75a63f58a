"""Modbus TCP and RTU field driver (MODBUS Application Protocol V1.1b3, MODBUS over Serial Line V1.02)."""

from gateway.contracts import FieldProtocol, Tool

FIELD = FieldProtocol(
    settings="protocols.modbus.settings:SETTINGS",
    driver="protocols.modbus.driver:ModbusDriver",
    simulator="protocols.modbus.simulator:ModbusSimulator",
    doctor="protocols.modbus.doctor:examine",
    tools=(
        Tool(
            name="probe",
            main="protocols.modbus.probe:main",
            parser="protocols.modbus.probe:parser",
            text="URL: registers of a Modbus device in every type and byte order",
        ),
    ),
)
