"""The run: everybody is started, troubled, brought to rest and asked for its books."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final

import psutil

from bench.watch import Sample, Watch, child, title_of
from tests.kit.gateway import ENVIRONMENT
from tests.kit.influxkit import InfluxServer
from tests.kit.mqttkit import Broker
from tests.soak import site as sites
from tests.soak.plan import Peer, SoakPlan
from tests.soak.relay import Relay, Relays
from tests.soak.trouble import Fault, Means, Stoppable, Trouble, chosen, draw, kinds

MODULES: Final = {
    "iec104": "master104",
    "dnp3": "dnp3",
    "opcua": "opcua",
    "nodeopcua": "opcuanode",
    "mqtt": "mqtt",
    "influx": "influx",
    "hmi": "hmi",
}
"""Receivers by library or, where a peer names none, by protocol."""
FAKETIME: Final = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
STEPPABLE: Final = Path(__file__).parent / "steppable"
DISK_MB: Final = 512
READY_S: Final = 120.0
FINISH_S: Final = 900.0
"""The database is read then."""
QUIET_S: Final = 5.0
"""The books are closed when nothing was written in them for so long."""
DRAIN_S: Final = 120.0


@dataclass(slots=True)
class Outcome:
    """What is there to compare, beside the ledgers in the plan's folder."""

    plan: SoakPlan
    faults: list[Fault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Who or what did not take part, and why."""
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    counters: dict[str, dict[str, Any]] = field(default_factory=dict)
    began_ns: int = 0
    rest_ns: int = 0
    ended_ns: int = 0
    exit_code: int | None = None
    log: list[dict[str, Any]] = field(default_factory=list)


class Party:
    """A process of the test that says ``ready`` and ends with its input."""

    def __init__(self, name: str, plan: SoakPlan, *command: str) -> None:
        self.name = name
        self._log = (Path(plan.folder) / f"{name}.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put("")

    def ready(self, timeout_s: float = READY_S) -> None:
        """Wait for its word. Raises `RuntimeError`."""
        try:
            said = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            said = ""
        if said.strip() != "ready":
            raise RuntimeError(f"{self.name} did not get ready: it said {said!r}; see {self.name}.log")

    def say(self, line: str) -> None:
        """A line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def finish(self, timeout_s: float = FINISH_S) -> dict[str, Any]:
        """End its input and take its counters; a failure is a counter too."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        said = ""
        with contextlib.suppress(queue.Empty):
            while line := self._lines.get(timeout=timeout_s):
                said = line
        self.kill(timeout_s=5.0)
        try:
            found: dict[str, Any] = json.loads(said)
        except ValueError:
            found = {"failed": f"said {said!r}, status {self._process.returncode}; see {self.name}.log"}
        return found

    def kill(self, timeout_s: float = 0.0) -> None:
        """It is gone when this returns."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s or 0.01)
        self._process.kill()
        self._process.wait()
        self._log.close()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def run(plan: SoakPlan, trouble: bool, tell: Callable[[str], None], only: Sequence[str] = ()) -> Outcome:
    """The whole of it, with faults of these kinds `only`, if any are named.

    The ledgers lie in ``FOLDER/ledgers`` then, the state in ``FOLDER/state``.
    """
    with contextlib.ExitStack() as stack:
        return _run(plan, trouble, tell, stack, only)


def _run(
    plan: SoakPlan, trouble: bool, tell: Callable[[str], None], stack: contextlib.ExitStack, only: Sequence[str]
) -> Outcome:
    folder = Path(plan.folder)
    plan, broker, influx = _servers(plan, stack)
    outcome = Outcome(plan)
    able = [peer for peer in plan.peers if _able(peer, outcome.missing)]
    plan.ledgers.mkdir(exist_ok=True)
    sites.write(plan)
    disk = stack.enter_context(_disk(folder, outcome.missing))
    clock = _clock(folder, outcome.missing)
    relays = stack.enter_context(Relays(_relays(plan)))
    plant = _party(stack, "plant", plan, "tests.soak.plant", str(folder / "plan.json"))
    plant.ready()
    tell("starting the gateway")
    gateway = stack.enter_context(_gateway(folder, clock))
    titles = _serving(plan, gateway)
    watch = Watch(gateway.pid, outcome.samples)
    receivers = [_receiver(stack, plan, peer) for peer in able]
    receivers = [receiver for receiver in receivers if _ready(receiver, outcome)]
    tell(f"{len(receivers)} receivers are ready; {', '.join(titles)} run")
    means = Means(gateway.pid, relays.turn, plant.say, broker, influx, disk, clock, titles)
    outcome.faults = draw(plan.seed, plan.seconds, chosen(kinds(plan, means), only)) if trouble else []
    outcome.began_ns = time.time_ns()
    plant.say("begin")
    with watch.looking(), Trouble(means, outcome.faults, tell).coming():
        _wait(plan.seconds - min(10.0, plan.seconds / 5), gateway)
        outcome.rest_ns = time.time_ns()
        plant.say("rest")
        _drained(plan, gateway, tell)
    outcome.ended_ns = time.time_ns()
    outcome.counters |= {receiver.name: receiver.finish() for receiver in receivers}
    gateway.send_signal(signal.SIGTERM)
    outcome.exit_code = gateway.wait(30.0)
    outcome.counters["plant"] = plant.finish()
    outcome.log = _log(folder / "gateway.log")
    _keep_alarms(folder)
    return outcome


def _servers(plan: SoakPlan, stack: contextlib.ExitStack) -> tuple[SoakPlan, Stoppable | None, Stoppable | None]:
    folder = Path(plan.folder)
    broker = influx = None
    if plan.broker_relay:
        mosquitto = stack.enter_context(Broker(folder / "broker", "max_inflight_messages 200"))
        broker = Stoppable(mosquitto.kill, mosquitto.start)
        ports = {"broker_port": mosquitto.port}
        peers = [replace(peer, port=mosquitto.port) if peer.protocol == "mqtt" else peer for peer in plan.peers]
        plan = replace(plan, peers=peers, **ports)
    if plan.influx_relay:
        server = InfluxServer(folder / "influx")
        server.start()
        stack.callback(server.stop)
        influx = Stoppable(server.stop, server.start)
        plan = replace(plan, influx_port=server.port)
    return plan, broker, influx


def module_of(peer: Peer) -> str:
    """Of its receiver."""
    return f"tests.soak.receivers.{MODULES[peer.library or peer.protocol]}"


def _able(peer: Peer, missing: list[str]) -> bool:
    """Whether its receiver and its library are here; else why not is written down."""
    module = module_of(peer)
    try:
        here = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        here = False
    if not here:
        missing.append(f"{peer.name}: there is no receiver for {peer.protocol}")
        return False
    return True


def _ready(receiver: Party, outcome: Outcome) -> bool:
    """Whether it is; one that is not is a failure, and the others go on."""
    try:
        receiver.ready()
    except RuntimeError as error:
        outcome.missing.append(f"{receiver.name}: {error}")
        outcome.counters[receiver.name] = {"failed": "did not get ready"} | receiver.finish(5.0)
        return False
    return True


def _relays(plan: SoakPlan) -> list[Relay]:
    relays = [
        Relay(peer.name, peer.port, plan.listen[peer.protocol], peer.address)
        for peer in plan.peers
        if peer.protocol in plan.listen
    ]
    relays += [
        Relay(f"dev{number}", port, target, late_is_lost=True)
        for number, (port, target) in enumerate(zip(plan.field_relays, plan.field_ports, strict=True))
    ]
    if plan.broker_relay:
        relays.append(Relay("broker", plan.broker_relay, plan.broker_port))
    if plan.influx_relay:
        relays.append(Relay("influxdb", plan.influx_relay, plan.influx_port))
    return relays


def _party(stack: contextlib.ExitStack, name: str, plan: SoakPlan, *command: str) -> Party:
    party = Party(name, plan, *command)
    stack.callback(party.kill)
    return party


def _receiver(stack: contextlib.ExitStack, plan: SoakPlan, peer: Peer) -> Party:
    return _party(stack, peer.name, plan, module_of(peer), str(Path(plan.folder) / "plan.json"), peer.name)


@contextlib.contextmanager
def _disk(folder: Path, missing: list[str]) -> Iterator[Path | None]:
    """A small file system for the state, where mounting is allowed."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0700", "tmpfs", str(state)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        why = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        why = str(error)
    if why:
        missing.append(f"fill disk: mounting is not possible here ({why})")
        yield None
        return
    try:
        yield state
    finally:
        subprocess.run(["umount", "-l", str(state)], check=False)


def _clock(folder: Path, missing: list[str]) -> Path | None:
    """The file that says by how much the gateway's clock is off, where libfaketime is here."""
    if not FAKETIME:
        missing.append("step clock: Debian's libfaketime is not installed")
        return None
    path = folder / "clock"
    path.write_text("+0\n")
    return path


@contextlib.contextmanager
def _gateway(folder: Path, clock: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    more = (
        {}
        if clock is None
        else {
            "LD_PRELOAD": str(FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            "NO_FAKE_STAT": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "PYTHONPATH": os.pathsep.join((str(STEPPABLE), ENVIRONMENT["PYTHONPATH"])),
        }
    )
    command = [sys.executable, "-m", "gateway", "run", str(folder / "site.yaml")]
    with (folder / "gateway.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT | more)
    try:
        yield process
    finally:
        family = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for each in family:
            with contextlib.suppress(psutil.Error):
                each.kill()


def _serving(plan: SoakPlan, gateway: subprocess.Popen[bytes]) -> list[str]:
    """Wait until it serves; the titles of its processes. Raises `RuntimeError`."""
    log, end = Path(plan.folder) / "gateway.log", time.monotonic() + READY_S
    while time.monotonic() < end:
        if gateway.poll() is not None:
            break
        if "gateway serves" in log.read_text(errors="replace"):
            found = (title_of(process) for process in psutil.Process(gateway.pid).children())
            return [title for title in found if child(gateway.pid, title)]
        time.sleep(0.1)
    raise RuntimeError(f"the gateway does not serve: {log.read_text(errors='replace')[-2000:]}")


def _wait(seconds: float, gateway: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))
        if gateway.poll() is not None:
            raise RuntimeError(f"the gateway ended with status {gateway.returncode}: see gateway.log")


def _drained(plan: SoakPlan, gateway: subprocess.Popen[bytes], tell: Callable[[str], None]) -> None:
    """Nothing more is written in any book but the plant's: commands go on."""
    tell("the plant rests: waiting for what is under way")
    end, sizes, quiet_at = time.monotonic() + DRAIN_S, dict[str, int](), time.monotonic() + QUIET_S
    while time.monotonic() < min(end, quiet_at):
        _wait(0.5, gateway)
        now = {path.name: path.stat().st_size for path in plan.ledgers.glob("*.bin") if path.stem != "plant"}
        if now != sizes:
            sizes, quiet_at = now, time.monotonic() + QUIET_S
    while plan.influx_relay and time.monotonic() < end and not _forwarded(plan):
        _wait(1.0, gateway)


def _forwarded(plan: SoakPlan) -> bool:
    """The gateway says that InfluxDB has everything."""
    words = ["points", str(Path(plan.folder) / "site.yaml"), "system/history/influx_waiting", "--json"]
    command = [sys.executable, "-m", "gateway", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False)
    with contextlib.suppress(ValueError, IndexError):
        told = json.loads(done.stdout.splitlines()[0])
        return bool(told["value"] == 0 and told["quality"] == "good")
    return False


def _log(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            lines.append({"event": line})
    return lines


def _keep_alarms(folder: Path) -> None:
    """The alarm journal outlives the small file system."""
    lines = [path.read_bytes() for path in sorted((folder / "state" / "alarms").glob("alarms-*.jsonl"))]
    (folder / "alarms.jsonl").write_bytes(b"".join(lines))
    os.sync()
