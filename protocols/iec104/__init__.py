"""IEC 60870-5-104: the controlled station, and a downstream RTU as a field device. See README.md in this folder."""

from gateway.contracts import FieldProtocol, GridProtocol

GRID = GridProtocol(
    settings="protocols.iec104.settings:SETTINGS",
    server="protocols.iec104.server:Iec104Server",
    describe="protocols.iec104.describe:Describer",
    documents="protocols.iec104.documents:Iec104Documents",
    selftest="protocols.iec104.selftest:Iec104SoeSelftest",
)

FIELD = FieldProtocol(
    settings="protocols.iec104.field.settings:SETTINGS",
    driver="protocols.iec104.field.driver:RtuDriver",
    simulator="protocols.iec104.field.simulator:RtuSimulator",
)
