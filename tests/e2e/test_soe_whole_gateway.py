"""kill -9 of everything: the next life tells what was committed, and what has changed meanwhile, each once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("c104", reason="the independent IEC 104 master c104 is not installed")

import psutil

from tests.e2e.test_kill_ledger import Ledger
from tests.kit.gateway import C104Master, DemoSite, wait_until

POI_POWER, RATED_POWER = 4103, 4010
STEPS = [1000.0 + 10 * step for step in range(1, 21)]


@pytest.fixture
def demo(tmp_path: Path):
    with DemoSite(tmp_path, dnp3=False) as site:
        text = site.site.read_text().replace("scan_ms: 100 ", "scan_ms: 20 ")
        site.site.write_text(text)
        site.start_simulator()
        site.start()
        yield site
        print(site.log_path.read_text())


def journal(demo: DemoSite) -> list[dict]:
    """What `gridgate journal` shows of the master, gateway running or not."""
    done = demo.cli("journal", "sldc-main", "--json", "--limit", "100000")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def held(demo: DemoSite, point: str) -> list[float]:
    return [event["value"] for event in journal(demo) if event["point"] == point]


def kill_everything(demo: DemoSite) -> None:
    """Supervisor, core and worker, at once."""
    family = [demo.pid, *(child.pid for child in psutil.Process(demo.pid).children(recursive=True))]
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert demo._gateway is not None
    demo._gateway.wait()
    demo._gateway = None
    demo.log_path.rename(demo.log_path.with_name("first_life.log"))


def test_what_was_committed_and_what_changed_meanwhile_is_told_once(demo: DemoSite) -> None:
    with Ledger(demo, "poi/power") as ledger:
        for value in STEPS:
            demo.order(f"set poi/power {value}")
            wait_until(partial(ledger.has, value), f"{value} to be published")
    wait_until(lambda: STEPS[-1] in held(demo, "poi/power"), "the last step in the journal")
    kill_everything(demo)

    assert held(demo, "poi/power")[-len(STEPS) :] == STEPS, "also without a gateway"
    rated = held(demo, "bess1/pcs/rated_power")
    demo.order("set poi/power 1300")
    demo.start()
    wait_until(lambda: demo.logged("journal was not closed in order"), "a word about it")
    wait_until(lambda: 1300.0 in held(demo, "poi/power"), "the standing change")
    wait_until(lambda: demo.point("bess1/pcs/rated_power")["quality"] == "good", "the other device")

    with C104Master(demo.port) as master:
        wait_until(master.is_open, "the link")
        wait_until(lambda: any(e["fields"][0] == 1300.0 for e in master.objects(POI_POWER)), "the last value")
        told = [event["fields"][0] for event in master.objects(POI_POWER) if event["cot"] == 3]
        assert [value for value in told if value in {*STEPS, 1300.0}] == [*STEPS, 1300.0], "all, in order, once"
        assert 0.0 not in told[1:]
        again = [event["fields"][0] for event in master.objects(RATED_POWER) if event["cot"] == 3]
        assert again == rated, "it has not changed: what was held of it is told, and nothing new"
        assert master.order("interrogate"), "which acknowledges what came"
        wait_until(lambda: not {*STEPS} & {*held(demo, "poi/power")}, "the release on disk")
    assert demo.stop() == 0

    done = demo.cli("journal")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split()[:2] == ["master", "held"]
    assert done.stdout.splitlines()[1].split()[0] == "sldc/sldc-main"
