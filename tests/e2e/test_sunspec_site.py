"""A SunSpec inverter behind a whole gateway: a command with its read-back, and the doctor beside the running core."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from protocols.sunspec.simulator import SunSpecSimulator
from tests.kit.background import played
from tests.kit.gateway import ENVIRONMENT, wait_until
from tests.kit.sunspeckit import line

MAP = """point,kind,model,field,low,high,feedback,enable,revert_s
power,analog,103,W,,,,,
limit_now,analog,123,WMaxLimPct,0,100,,,
limit,setpoint,123,WMaxLimPct,0,100,limit_now,true,60
"""


def gridgate(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False)


@contextlib.contextmanager
def running(site: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", str(site)], env=ENVIRONMENT, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_a_limit_is_read_back_and_the_doctor_knows_the_counters(tmp_path: Path) -> None:
    simulator = SunSpecSimulator(line(MAP))
    simulator.set(np.arange(3, dtype=np.uint32), np.array([5000.0, 100.0, 100.0]))
    (tmp_path / "inv.csv").write_text(MAP)
    site = tmp_path / "site.yaml"
    with played(simulator):
        url = f"tcp://127.0.0.1:{simulator.url.port}"
        site.write_text(
            "site: solar\ndevices:\n"
            f"  - {{name: inverter, driver: sunspec, url: '{url}', map: inv.csv, prefix: inv, scan_ms: 100}}\n"
        )
        with running(site):
            wait_until(lambda: '"value": 5000.0' in gridgate("points", site, "inv/power", "--json").stdout, "the power")
            done = gridgate("command", site, "inv/limit", "60")
            assert done.stdout == "inv/limit: execute done\n", done.stderr
            assert [data.hex() for _, data in simulator.device().writes] == ["003c", "0258", "0001"]
            refused = gridgate("command", site, "inv/limit", "101")
            assert "outside 0 to 100" in refused.stderr
            examined = gridgate("doctor", site, "inverter", "--json")
            assert examined.returncode == 0, examined.stdout + examined.stderr
            told = json.loads(examined.stdout)
            assert told["running"] and told["well"]
            assert told["counters"]["writes"] == 1
            assert told["counters"]["surveys"] >= 1
            words = gridgate("doctor", site, "inverter").stdout
            assert "ok     GridGate Simulated device SN-0001 has the models 1, 103, 123 at 40000" in words
            assert "counted since the gateway started:" in words
    examined = gridgate("doctor", site, "inverter")
    assert examined.returncode == 1
    assert "FAULT  127.0.0.1 refuses connections" in examined.stdout
    assert "note   no gateway runs on this site" in examined.stdout
    unknown = gridgate("doctor", site, "invertor")
    assert unknown.returncode == 1
    assert "there is no device invertor (did you mean inverter?)" in unknown.stderr
