"""kill -9 of a worker and of the core, while a reader of the feed writes down what the core published."""

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("c104", reason="the independent IEC 104 master c104 is not installed")

from gateway.config import load_site
from gateway.feed.address import socket_path
from gateway.feed.client import FeedClient
from gateway.points import Changes
from tests.kit.feedkit import QuietLog
from tests.kit.gateway import C104Master, DemoSite, wait_until

POI_POWER = 4103
STEPS = 40


class Ledger:
    """Writes down every change of one point that the core puts on the feed, in a thread of its own."""

    def __init__(self, demo: DemoSite, point: str) -> None:
        plan = load_site(demo.site)
        self._row = plan.catalogue.rows[point]
        self._path, self._size = socket_path(demo.state_dir), len(plan.catalogue)
        self.published: list[tuple[float, int]] = []
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Ledger":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def has(self, value: float) -> bool:
        return (value, 0) in self.published

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        """Nothing to resume."""

    def feed_changes(self, batch: Changes, seq: int) -> None:
        for record in batch[batch["row"] == self._row]:
            self.published.append((float(record["value"]), int(record["quality"])))

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """Of no interest here."""

    def feed_ready(self) -> None:
        self._ready.set()

    async def _run(self) -> None:
        client = FeedClient(self._path, "ledger", "", self._size, self, QuietLog())
        task = asyncio.create_task(client.run())
        while not self._stop.is_set():
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def demo(tmp_path: Path):
    with DemoSite(tmp_path, dnp3=False) as site:
        text = site.site.read_text().replace("scan_ms: 100 ", "scan_ms: 20 ")
        site.site.write_text(text)
        site.start_simulator()
        site.start()
        yield site
        print(site.log_path.read_text())


@pytest.mark.parametrize("victim", ["iec104 sldc", "core"])
def test_whatever_dies_the_master_hears_every_change_that_the_core_published(demo: DemoSite, victim: str):
    with C104Master(demo.port) as master, Ledger(demo, "poi/power") as ledger:
        wait_until(master.is_open, "the link")
        for step in range(1, STEPS + 1):
            value = 1000.0 + 10 * step
            demo.order(f"set poi/power {value}")
            wait_until(partial(ledger.has, value), f"{value} to be published")
            if step % 13 == 0:
                demo.kill_child(victim)
        expected = [1000.0 + 10 * step for step in range(1, STEPS + 1)]
        wait_until(
            lambda: any(event["fields"][0] == expected[-1] for event in master.objects(POI_POWER)), "the last value"
        )
        told = [event["fields"][0] for event in master.objects(POI_POWER) if event["cot"] == 3]
        assert set(expected) <= set(told), f"lost: {sorted(set(expected) - set(told))}"
        first_seen = list(dict.fromkeys(value for value in told if value in expected))
        assert first_seen == expected, "in order"
        assert 0.0 not in told
