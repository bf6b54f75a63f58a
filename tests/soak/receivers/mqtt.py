"""An MQTT subscriber by paho: a session that the broker keeps (QoS 1), at the broker itself.

Quality in the ledger: the gateway's flags, as the payload tells them. Retained messages are `ANSWERED`.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Final

from paho.mqtt import client as paho

from tests.soak.ledger import ANSWERED, EVENT
from tests.soak.receivers.process import Receiver, at_end

KEEPALIVE_S: Final = 10


class Subscriber:
    """What paho calls, in its thread."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        peer = receiver.peer
        wanted = range(peer.first, peer.first + peer.count)
        self._points = {receiver.plan.topic(point): point for point in wanted}
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=f"soak-{peer.name}", clean_session=False, protocol=paho.MQTTv311
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect, self.client.on_disconnect = self._connected, self._disconnected
        self.client.on_message, self.client.on_subscribe = self._message, self._subscribed

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe("soak/#", qos=1)

    def _subscribed(self, *_: Any) -> None:
        self._receiver.link_up()

    def _disconnected(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._receiver.counts[f"disconnected: {reason}"] += 1
        self._receiver.link_lost()

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        point = self._points.get(message.topic)
        self._receiver.counts["values" if point is not None else "of other topics"] += 1
        if point is None:
            return
        told = json.loads(message.payload)
        kind = ANSWERED if message.retain else EVENT
        value = float("nan") if told["value"] is None else float(told["value"])
        at_ms = told.get("time_ms")
        time_ns = 0 if at_ms is None else round(at_ms * 1_000_000)
        self._receiver.ledger.add(point, kind, value, int(told["flags"]), time_ns)


def main() -> None:
    receiver, end = Receiver.from_arguments(), at_end()
    subscriber = Subscriber(receiver)
    thread = threading.Thread(target=lambda: _for_ever(subscriber, receiver), daemon=True)
    thread.start()
    end.recv(1)
    subscriber.client.disconnect()
    time.sleep(0.2)
    receiver.finish()


def _for_ever(subscriber: Subscriber, receiver: Receiver) -> None:
    subscriber.client.connect_async("127.0.0.1", receiver.plan.broker_port, KEEPALIVE_S)
    subscriber.client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main()
