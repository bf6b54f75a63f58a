"""SunSpec field driver: information models over Modbus, found on the device, read by the Modbus driver beneath."""

from gateway.contracts import FieldProtocol, Tool

FIELD = FieldProtocol(
    settings="protocols.sunspec.settings:SETTINGS",
    driver="protocols.sunspec.driver:SunSpecDriver",
    simulator="protocols.sunspec.simulator:SunSpecSimulator",
    doctor="protocols.sunspec.doctor:examine",
    tools=(
        Tool(
            name="sunspec",
            main="protocols.sunspec.command:main",
            parser="protocols.sunspec.command:parser",
            text="scan URL: what a SunSpec device is, and a map of it; map MODEL ...: a map without a device",
        ),
    ),
)
