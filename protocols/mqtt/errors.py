"""What a peer may send that is no use. Pure."""


class MqttError(Exception):
    """A payload or topic that is not what it should be; the text is for a person."""
