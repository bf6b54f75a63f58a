"""`gridgate demo`: the simulated devices in a process of their own, and the gateway on them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from gateway.paths import shipped
from gateway.supervisor import child_command, child_environment, compile_site, run_site


def run_demo(site: Path | None, state_dir: Path | None, seed: int) -> int:
    """Serve `site` (the shipped demo site by default) against simulated devices. Returns the exit code."""
    site = site or shipped("config") / "demo" / "site.yaml"
    simulator = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        child_command("gateway.demo.runner", str(site), "--seed", str(seed), "--lifeline"),
        stdin=subprocess.PIPE,
        env=child_environment(),
    )
    try:
        return run_site(site, state_dir)
    finally:
        if simulator.stdin is not None:
            simulator.stdin.close()
        simulator.send_signal(signal.SIGTERM)
        try:
            simulator.wait(3)
        except subprocess.TimeoutExpired:
            simulator.kill()
            simulator.wait()
        sys.stdout.flush()
