"""Synchrophasor client (IEEE C37.118.2-2011, and the frames of C37.118-2005)."""

from gateway.contracts import FieldProtocol

FIELD = FieldProtocol(
    settings="protocols.c37118.settings:SETTINGS",
    driver="protocols.c37118.driver:PmuDriver",
    simulator="protocols.c37118.simulator:PmuSimulator",
    doctor="protocols.c37118.doctor:examine",
)
