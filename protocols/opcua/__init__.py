"""OPC UA server (IEC 62541): see README.md in this folder."""

from gateway.contracts import GridProtocol

GRID = GridProtocol(
    settings="protocols.opcua.settings:SETTINGS",
    server="protocols.opcua.server:OpcUaServer",
)
