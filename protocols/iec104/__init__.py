"""IEC 60870-5-104 controlled station: see README.md in this folder."""

from gateway.contracts import GridProtocol

GRID = GridProtocol(
    settings="protocols.iec104.settings:SETTINGS",
    server="protocols.iec104.server:Iec104Server",
    describe="protocols.iec104.describe:Describer",
    documents="protocols.iec104.documents:Iec104Documents",
    selftest="protocols.iec104.selftest:Iec104SoeSelftest",
)
