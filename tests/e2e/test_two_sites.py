"""A plant and an aggregator (config/two-sites) with mosquitto between them: two whole gateways, real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config import load_site
from gateway.feed.address import socket_path
from gateway.feed.client import FeedClient
from gateway.points import Quality
from tests.kit.feedkit import QuietLog
from tests.kit.gateway import REPO, DemoSite, wait_until
from tests.kit.mqttkit import Broker, needs_mosquitto
from tests.kit.ports import free_ports


def soon(condition: Callable[[], Any], what: str) -> None:
    """Two whole gateways start and stop here, on a machine that may have other things to do."""
    wait_until(condition, what, 60)


class TwinSite(DemoSite):
    """One of the two sites in a folder of its own."""

    def __init__(self, folder: Path, name: str, ports: dict[str, int], broker: Broker) -> None:
        self.folder = folder / name
        shutil.copytree(REPO / "config" / "two-sites", self.folder / "config" / "two-sites")
        shutil.copytree(REPO / "pointmaps", self.folder / "pointmaps")
        self.site = self.folder / "config" / "two-sites" / f"{name}.yaml"
        self.state_dir = self.folder / "state"
        self.log_path = self.folder / "gateway.log"
        text = self.site.read_text()
        for old, new in {**ports, ":1883": broker.port}.items():
            text = text.replace(old, f":{new}")
        self.site.write_text(text)
        self._simulator = self._gateway = None

        self._watch: Watch | None = None

    def point(self, name: str) -> dict[str, Any]:
        """A point as the gateway's feed has it: many looks at it need no process each."""
        if self._watch is None:
            self._watch = Watch(self)
        return self._watch.point(name)

    def value(self, name: str) -> tuple[float, str]:
        point = self.point(name)
        return float(point["value"]), str(point["quality"])

    def __exit__(self, *reason: object) -> None:
        if self._watch is not None:
            self._watch.stop()
        super().__exit__(*reason)


class Watch:
    """A reader of the feed in a thread of its own."""

    def __init__(self, site: DemoSite) -> None:
        self.names = load_site(site.site).catalogue.names
        self._loop = asyncio.new_event_loop()
        path = socket_path(site.state_dir)
        self._client = FeedClient(path, "watch", "", len(self.names), self, QuietLog())
        self._task = self._loop.create_task(self._client.run())
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "no feed"

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(5)

    def point(self, name: str) -> dict[str, Any]:
        row, mirror = self.names.index(name), self._client.mirror
        quality = Quality(int(mirror.quality[row])).words
        return {"value": float(mirror.value[row]), "quality": quality, "time_ns": int(mirror.time_ns[row])}

    def feed_ready(self) -> None:
        self._ready.set()

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        """Of no interest here."""

    def feed_changes(self, batch: Any, seq: int) -> None:
        """The mirror has them."""

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """Of no interest here."""


@pytest.mark.timeout(300)
def test_a_plant_seen_through_a_broker(tmp_path: Path) -> None:
    needs_mosquitto()
    pcs, meter, master = free_ports(3)
    with (
        Broker(tmp_path / "broker") as broker,
        TwinSite(tmp_path, "plant", {":5030": pcs, ":5031": meter}, broker) as plant,
        TwinSite(tmp_path, "aggregator", {":2414": master}, broker) as region,
    ):
        plant.start_simulator()
        plant.start()
        region.start()

        # The plant's value, with its quality and its own time.
        plant.order("set poi/voltage 31.5")
        soon(lambda: abs(region.value("north/poi/voltage")[0] - 31.5) < 0.01, "the voltage at the aggregator")
        here, there = plant.point("poi/voltage"), region.point("north/poi/voltage")
        assert there["quality"] == "good"
        assert there["time_ns"] // 1_000_000 == here["time_ns"] // 1_000_000, "the source time, to the ms"

        # A set-point through both command brokers, done when the plant's own feedback agreed.
        done = region.cli("command", "north/pcs/power_setpoint", "300")
        assert done.returncode == 0, done.stderr + done.stdout
        assert abs(plant.value("bess1/pcs/active_power")[0] - 300) < 25
        refused = region.cli("command", "north/pcs/power_setpoint", "5000")
        assert refused.returncode == 1 and "1000" in refused.stderr + refused.stdout

        # A device that is cut off at the plant is lost at the aggregator; its neighbour is not.
        last = region.point("north/poi/voltage")
        plant.order("unplug meter")
        soon(lambda: "comm lost" in region.value("north/poi/voltage")[1], "comm lost at the aggregator")
        lost = region.point("north/poi/voltage")
        assert (lost["value"], lost["time_ns"]) == (last["value"], last["time_ns"])
        soon(lambda: region.value("system/device/north-meter/online")[0] == 0.0, "the device is told as lost")
        assert region.value("north/pcs/soc")[1] == "good"
        plant.order("plug meter")
        soon(lambda: region.value("north/poi/voltage")[1] == "good", "good again")

        # The worker towards the broker is killed and comes again: the will, then the births.
        plant.kill_child("mqtt region")
        soon(lambda: "comm lost" in region.value("north/pcs/soc")[1], "the broker says that the node is gone")
        soon(lambda: region.value("north/pcs/soc")[1] == "good", "good after a new birth")

        # The broker is killed: everything behind it is lost; it heals by itself.
        broker.kill()
        soon(lambda: "comm lost" in region.value("north/pcs/soc")[1], "comm lost with the broker")
        broker.start()
        soon(lambda: region.value("north/pcs/soc")[1] == "good", "good with the broker")

        # The plant's gateway is killed as a whole: the broker says so for it.
        for pid in [plant.pid, *plant._children(plant.pid)]:
            os.kill(pid, signal.SIGKILL)
        soon(lambda: "comm lost" in region.value("north/pcs/soc")[1], "comm lost by the will")
        assert region.value("system/device/north-pcs/online")[0] == 0.0
        failed = region.cli("command", "north/pcs/power_setpoint", "100")
        assert failed.returncode == 1


@pytest.mark.parametrize("name", ["plant", "aggregator"])
def test_the_shipped_sites_are_right(name: str) -> None:
    plan = load_site(REPO / "config" / "two-sites" / f"{name}.yaml")
    assert plan.warnings == []
