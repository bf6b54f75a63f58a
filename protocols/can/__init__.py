"""CAN field driver: signals of a DBC on any python-can interface (ISO 11898-1 frames, classic and FD)."""

from gateway.contracts import FieldProtocol

FIELD = FieldProtocol(
    settings="protocols.can.settings:SETTINGS",
    driver="protocols.can.driver:CanDriver",
    simulator="protocols.can.simulator:CanSimulator",
    doctor="protocols.can.doctor:examine",
)
