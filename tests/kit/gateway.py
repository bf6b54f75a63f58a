"""A whole gateway on a copy of the demo site: real processes, free ports, everything killed at the end."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.kit.forked import Forked, run
from tests.kit.pointreader import read_point
from tests.kit.ports import free_ports

REPO = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPO), "GRIDGATE_LOG": "json", "PYTHONUNBUFFERED": "1"}


START_S = 60.0
"""Starting takes a second, or many on a machine that does much else."""
OTHERS = ("bess1/bms/", "bess1/cell_", "poi/pmu/", "pv1/")
"""What names of points of the other devices begin with."""


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = START_S) -> Any:
    """The first truthy answer of `condition`; fails, saying what was awaited."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_s:g} s in vain for: {what}")


class DemoSite:
    """A copy of the demo site in `folder`, its simulator and its gateway.

    Without `whole` it has the PCS and the meter only: it starts sooner, and most stories need no more. `hmi`: with
    the page for technicians on `hmi_port`. `dnp3`: with the server for the DNP3 master, a process of its own.
    """

    def __init__(self, folder: Path, whole: bool = False, hmi: bool = False, dnp3: bool = True) -> None:
        self.pcs_port, self.meter_port, self.port, self.dnp3_port, pmu, inverter, can, self.hmi_port = free_ports(8)
        self.folder = folder
        shutil.copytree(REPO / "config" / "demo", folder / "config" / "demo")
        shutil.copytree(REPO / "pointmaps", folder / "pointmaps")
        self.site = folder / "config" / "demo" / "site.yaml"
        self.state_dir = folder / "state"
        text = self.site.read_text() if whole else self._smaller()
        ports = {":5020": self.pcs_port, ":5021": self.meter_port, ":2404": self.port, ":20000": self.dnp3_port}
        if not dnp3:
            text = re.sub(r"  - name: rldc.*?(?=\ncontrol:)", "", text, flags=re.DOTALL)
            del ports[":20000"]
        ports |= {":4712": pmu, ":5022": inverter, "port: 43113": can} if whole else {}
        for old, new in ports.items():
            assert old in text
            text = text.replace(old, f"{old.rstrip('0123456789')}{new}")
        text = text.replace("${XDG_RUNTIME_DIR:-/tmp}", str(folder))
        text = re.sub(r" *time_zone: Asia/Kolkata[^\n]*\n", "", text)
        text = re.sub(r"\nhmi:.*", "\n", text, flags=re.DOTALL)
        self.site.write_text(text + (f"hmi: {{listen: 127.0.0.1:{self.hmi_port}}}\n" if hmi else ""))
        self.log_path = folder / "gateway.log"
        self._simulator: Forked | None = None
        self._gateway: subprocess.Popen[bytes] | None = None

    def _smaller(self) -> str:
        """The site with its first two devices, and maps without what the others show."""
        text = self.site.read_text()
        text = re.sub(r"  - name: bms1.*?(?=\ncalculated:)", "", text, flags=re.DOTALL)
        text = re.sub(r"  - point: bess1/cell_voltage_min.*?(?=\nservers:)", "", text, flags=re.DOTALL)
        text = re.sub(r"\n  droop:.*", "\n", text, flags=re.DOTALL)  # and without what follows: the history
        for path in (self.folder / "pointmaps" / "masters").glob("demo_*.csv"):
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(line for line in lines if not line.startswith(OTHERS)))
        return text.replace(" + pv1/active_power", "")

    def __enter__(self) -> DemoSite:
        return self

    def __exit__(self, *_: object) -> None:
        if self._gateway is not None:
            family = [self._gateway.pid, *self._children(self._gateway.pid)]
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._gateway.wait()
        if self._simulator is not None:
            self._simulator.kill()

    @staticmethod
    def _children(pid: int) -> list[int]:
        try:
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def start_simulator(self, seed: int = 7) -> None:
        log = self.folder / "simulator.log"
        arguments = [str(self.site), "--seed", str(seed), "--lifeline"]
        self._simulator = Forked("gateway.demo.runner", arguments, log, log, ENVIRONMENT)
        with contextlib.suppress(PermissionError):  # the plant is another machine: it does not wait for our processes
            os.sched_setscheduler(self._simulator.pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        wait_until(self._simulating, "the simulator", START_S)

    def _simulating(self) -> bool:
        assert self._simulator is not None
        log = self.folder / "simulator.log"
        told = log.read_text(errors="replace") if log.exists() else ""
        assert not self._simulator.ended, f"the simulator ended: {told}"
        return "simulating" in told

    def order(self, text: str) -> None:
        """An order to the simulator, such as ``fault on``."""
        assert self._simulator is not None
        self._simulator.say(text + "\n")

    def kill_simulator(self) -> None:
        assert self._simulator is not None
        self._simulator.kill()
        (self.folder / "simulator.log").unlink()
        self._simulator = None

    def start(self) -> None:
        """Start the gateway and wait until it serves."""
        self._gateway = self.spawn()
        wait_until(lambda: self.logged("gateway serves"), "the gateway to serve", START_S)

    def adopt(self, gateway: subprocess.Popen[bytes]) -> None:
        """Take a gateway that was started otherwise as this site's own."""
        self._gateway = gateway

    def spawn(self, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gateway", "run", str(self.site), "--state-dir", str(self.state_dir)]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT | (environment or {}))

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one `gridgate` command on this site."""
        name, *rest = arguments
        return self.run(name, str(self.site), "--state-dir", str(self.state_dir), *rest)

    @staticmethod
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one `gridgate` command."""
        return run("gateway.__main__", arguments, ENVIRONMENT)

    def point(self, name: str) -> dict[str, Any]:
        """A point as `gridgate points --json` shows it; waits for a core that is starting, or slow to answer."""
        return wait_until(lambda: read_point(self.site, self.state_dir, name), f"the gateway to tell of {name}")

    @property
    def pid(self) -> int:
        assert self._gateway is not None
        return self._gateway.pid

    def child(self, title: str) -> int:
        """Process id of the child with this title, for example ``core`` or ``iec104 sldc``."""

        def look() -> int | None:
            for child in psutil.Process(self.pid).children():
                try:
                    if child.cmdline()[:1] == [f"gridgate {title}"]:
                        return child.pid
                except psutil.Error:
                    continue
            return None

        return wait_until(look, f"a process titled gridgate {title}")

    def kill_child(self, title: str) -> int:
        """kill -9; returns the process id that died."""
        pid = self.child(title)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "its death")
        return pid

    def stop(self, timeout_s: float = 10.0) -> int:
        """SIGTERM; returns the exit code, fails if it takes longer than `timeout_s`."""
        assert self._gateway is not None
        self._gateway.send_signal(signal.SIGTERM)
        code = self._gateway.wait(timeout_s)
        self._gateway = None
        return code

    def log_lines(self) -> list[dict[str, Any]]:
        lines = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"event": line})
        return lines

    def logged(self, event: str) -> bool:
        return self.log_path.exists() and any(event in str(line.get("event", "")) for line in self.log_lines())


class C104Master:
    """The independent master in its process; keeps every frame it hears."""

    def __init__(self, port: int, ca: int = 1) -> None:
        command = [sys.executable, str(REPO / "tests" / "peers" / "c104_master.py"), str(port), str(ca)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.frames: list[dict[str, Any]] = []
        self.states: list[str] = []
        self._done: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> C104Master:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            match said.pop("say"):
                case "frame":
                    self.frames.append(said)
                case "state":
                    self.states.append(said["state"])
                case "done":
                    self._done.put(said)

    def order(self, text: str, timeout_s: float = START_S) -> bool:
        """Give an order and wait until c104 says how it went."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return bool(self._done.get(timeout=timeout_s)["ok"])

    def is_open(self) -> bool:
        assert self._process.poll() is None, f"c104 died, exit code {self._process.returncode}"
        return bool(self.states) and self.states[-1] == "OPEN"

    def objects(self, ioa: int, *, types: tuple[int, ...] = (), since: int = 0) -> list[dict[str, Any]]:
        """Every object heard at `ioa`, from frame number `since` on, with the frame's type and cause."""
        return [
            thing | {"type": frame["type"], "cot": frame["cot"], "negative": frame["negative"]}
            for frame in self.frames[since:]
            if not types or frame["type"] in types
            for thing in frame["objects"]
            if thing["ioa"] == ioa
        ]
