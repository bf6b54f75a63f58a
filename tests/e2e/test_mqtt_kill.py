"""The process that publishes is killed while values pass through a gateway, from topic to topic: none is lost."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from tests.kit.gateway import DemoSite, wait_until
from tests.kit.mqttkit import Broker, Peer, needs_mosquitto

SITE = """
site: through
devices: [{{name: d, driver: mqtt, url: "{url}", topic: in, map: d.csv, prefix: d}}]
servers:
  - {{name: cloud, protocol: mqtt, url: "{url}", reconnect_max_s: 0.5,
     masters: [{{name: out, map: m.csv, payload: point, topic: out}}]}}
"""
VALUES = 4_000


class Through(DemoSite):
    """A gateway that publishes what it hears."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder, self.site, self.state_dir = folder, folder / "site.yaml", folder / "state"
        self.log_path = folder / "gateway.log"
        self._simulator = self._gateway = None
        self.site.write_text(SITE.format(url=broker.url))
        (folder / "d.csv").write_text("point,kind\nvalue,analog\n")
        (folder / "m.csv").write_text("point\nd/value\n")


@pytest.mark.timeout(240)
def test_kill_9_of_the_publishing_process_loses_nothing(tmp_path: Path) -> None:
    needs_mosquitto()
    with (
        Broker(tmp_path / "broker") as broker,
        Through(tmp_path, broker) as gateway,
        Peer(broker.port, "out", qos=0) as listener,
        Peer(broker.port) as device,
    ):
        gateway.start()
        device.say("in", "-1")
        wait_until(lambda: listener.on("out"), "the first value", 60)

        def talk() -> None:
            for number in range(VALUES):
                device.say("in", str(number))
                if number % 20 == 0:
                    time.sleep(0.01)

        talking = threading.Thread(target=talk)
        talking.start()
        for mark in (500, 1_500):
            wait_until(lambda n=mark: len(listener.heard) > n, f"{mark} values", 60)
            gateway.kill_child("mqtt cloud")
        talking.join()

        def got() -> list[float]:
            return [json.loads(payload)["value"] for payload in listener.on("out")]

        wait_until(lambda: got()[-1] == VALUES - 1, "the last value", 60)
        assert list(dict.fromkeys(got())) == [-1.0, *map(float, range(VALUES))], "none lost, in order"
