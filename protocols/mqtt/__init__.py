"""MQTT 3.1.1 and 5, JSON and Sparkplug B, on both sides: see README.md in this folder."""

from gateway.contracts import FieldProtocol, GridProtocol

FIELD = FieldProtocol(
    settings="protocols.mqtt.fieldsettings:SETTINGS",
    driver="protocols.mqtt.driver:MqttDriver",
)
GRID = GridProtocol(
    settings="protocols.mqtt.gridsettings:SETTINGS",
    server="protocols.mqtt.server:MqttServer",
    describe="protocols.mqtt.describe:Describer",
)
