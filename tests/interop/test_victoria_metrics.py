"""The version 2 write API as VictoriaMetrics (Debian) takes it: no token, times in ms."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.feed.address import socket_path
from gateway.history.plan import InfluxPlan
from tests.kit.feedkit import until
from tests.kit.gateway import START_S, wait_until
from tests.kit.historykit import HistorianProcess, core_side, history_plan
from tests.kit.ports import free_ports

START_NS = 1_795_000_000_000_000_000
POINTS, SIZE = 5, 14


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("victoria-metrics")
    if program is None:
        pytest.skip("no victoria-metrics here (Debian package victoria-metrics)")
    [port] = free_ports(1)
    command = [
        *(program, f"-storageDataPath={tmp_path}/vm", f"-httpListenAddr=127.0.0.1:{port}"),
        *("-retentionPeriod=100y", "-search.latencyOffset=0s", "-memory.allowedBytes=100000000"),
        # What is sent again after an answer that did not come is the same sample: here it must be told so.
        "-dedup.minScrapeInterval=1ms",
    ]
    with (tmp_path / "vm.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):
                return True
        except OSError:
            return False

    try:
        wait_until(answers, "victoria-metrics to answer", START_S)
        yield address
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def exported(url: str) -> dict[str, list[tuple[int, float]]]:
    """(ms, value) by point."""
    urllib.request.urlopen(f"{url}/internal/force_flush", timeout=10).close()
    match = urllib.parse.urlencode({"match[]": "gridgate_value"})
    with urllib.request.urlopen(f"{url}/api/v1/export?{match}", timeout=10) as answer:
        series = [json.loads(line) for line in answer.read().splitlines()]
    out: dict[str, list[tuple[int, float]]] = {}
    for entry in series:  # one series may come in several pieces
        out.setdefault(entry["metric"]["point"], []).extend(zip(entry["timestamps"], entry["values"], strict=True))
    return {point: sorted(samples) for point, samples in out.items()}


def test_every_sample_arrives_once(tmp_path: Path, url: str) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    plan = InfluxPlan(url=url, version=2, org="any", bucket="any", timeout_s=5.0)
    expected: dict[str, list[tuple[int, float]]] = {f"p{row}": [] for row in range(POINTS)}

    async def scene() -> None:
        core = core_side(state_dir, SIZE)
        await core.hub.start(socket_path(state_dir))
        historian = HistorianProcess(state_dir, core.table_catalogue, history_plan(SIZE, plan))
        historian.start()
        await until(historian.is_ready, START_S)
        try:
            for second in range(100):
                at_ns = START_NS + second * 1_000_000_000
                core.publish(list(range(POINTS)), [second + row / 4 for row in range(POINTS)], at_ns)
                for row in range(POINTS):
                    expected[f"p{row}"].append((at_ns // 1_000_000, second + row / 4))
                await asyncio.sleep(0.002)
            await asyncio.to_thread(wait_until, lambda: exported(url) == expected, "all samples", START_S)
        finally:
            historian.stop(signal.SIGTERM)
            await core.hub.stop()

    asyncio.run(scene())
