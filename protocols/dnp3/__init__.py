"""DNP3 outstation (IEEE 1815-2012): see README.md in this folder."""

from gateway.contracts import GridProtocol

GRID = GridProtocol(
    settings="protocols.dnp3.settings:SETTINGS",
    server="protocols.dnp3.server:Dnp3Server",
    describe="protocols.dnp3.describe:Describer",
    documents="protocols.dnp3.documents:Dnp3Documents",
    selftest="protocols.dnp3.selftest:Dnp3SoeSelftest",
)
