"""DNP3 (IEEE 1815-2012): our outstation, and others as field devices. See README.md in this folder."""

from gateway.contracts import FieldProtocol, GridProtocol

GRID = GridProtocol(
    settings="protocols.dnp3.settings:SETTINGS",
    server="protocols.dnp3.server:Dnp3Server",
    describe="protocols.dnp3.describe:Describer",
    documents="protocols.dnp3.documents:Dnp3Documents",
    selftest="protocols.dnp3.selftest:Dnp3SoeSelftest",
)

FIELD = FieldProtocol(
    settings="protocols.dnp3.field.settings:SETTINGS",
    driver="protocols.dnp3.field.driver:OutstationDriver",
    simulator="protocols.dnp3.field.simulator:OutstationSimulator",
)
