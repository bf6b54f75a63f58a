"""What goes over a connection, for `gridgate trace`: PUBLISH packets as they would be with QoS 0. Pure.

paho keeps the octets of a connection to itself; what is told and asked is all in the PUBLISH packets, so these are made
again here. Acknowledgements, pings and subscriptions are not seen.

    3r  remaining length (varint)  topic length (2)  topic  payload          r: 1 when retained
"""

from __future__ import annotations

from gateway.contracts import FrameTrace, LinkName
from protocols.mqtt.form import Outgoing
from protocols.mqtt.linkplan import LinkPlan
from protocols.mqtt.wire import varint


def packet(topic: str, payload: bytes, retain: bool) -> bytes:
    """A PUBLISH packet (MQTT 3.1.1, 3.3)."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + payload
    return bytes((0x30 | retain,)) + varint(len(body)) + body


class Traced:
    """One master's connections in the trace."""

    def __init__(self, trace: FrameTrace, master: str) -> None:
        self._trace, self._master = trace, master
        self._link: LinkName | None = None
        self._number = 0

    def opened(self, plan: LinkPlan) -> None:
        """A connection stands."""
        self._number += 1
        self._link = LinkName(self._master, self._number, ("127.0.0.1", 0), (plan.broker.host, plan.broker.port))
        self._trace.opened(self._link)

    def sent(self, message: Outgoing) -> None:
        """A message of ours."""
        if self._link is not None:
            self._trace.record(self._link, True, packet(message.topic, message.payload, message.retain))

    def received(self, topic: str, payload: bytes, retained: bool) -> None:
        """A message for us."""
        if self._link is not None:
            self._trace.record(self._link, False, packet(topic, payload, retained))

    def closed(self, outgoing: bool, cause: str) -> None:
        """The connection ended."""
        if self._link is not None:
            self._trace.closed(self._link, outgoing, cause)
            self._link = None
