"""The simulator's process, over real Modbus TCP: a Modbus client and a person at its standard input."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from gateway.paths import shipped
from tests.kit.ports import free_ports

SITE = """\
site: test
state_dir: var
devices:
  - {{name: pcs1, driver: modbus, url: "tcp://127.0.0.1:{pcs}", unit: 1, map: "{maps}/pcs.csv", prefix: bess1/pcs}}
  - {{name: meter, driver: modbus, url: "tcp://127.0.0.1:{meter}", unit: 1, map: "{maps}/meter.csv", prefix: poi}}
servers: []
"""


@dataclass
class Simulator:
    process: subprocess.Popen[str]
    pcs: ModbusTcpClient
    meter: ModbusTcpClient

    def order(self, line: str) -> str:
        """What the simulator answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def active_power_kw(self) -> float:
        raw = self.pcs.read_input_registers(0x1005, count=1, device_id=1).registers[0]
        return float(struct.unpack(">h", struct.pack(">H", raw))[0]) / 10

    def breaker(self) -> int:
        return int(self.pcs.read_input_registers(0x1011, count=1, device_id=1).registers[0]) & 3

    def meter_floats(self) -> tuple[float, float, float]:
        """Frequency in Hz, voltage in V, power in W."""
        registers = self.meter.read_holding_registers(0, count=6, device_id=1).registers
        frequency, voltage, power = struct.unpack(">3f", struct.pack(">6H", *registers))
        return frequency, voltage, power


def eventually(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    pcs, meter = free_ports(2)
    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(pcs=pcs, meter=meter, maps=shipped("pointmaps/devices")))
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.demo.runner", str(site), "--lifeline", "--speed", "5"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    clients = [ModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0) for port in (pcs, meter)]
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "simulating pcs1, meter"
        assert all(client.connect() for client in clients)  # type: ignore[no-untyped-call]
        yield Simulator(process, *clients)
    finally:
        for client in clients:
            client.close()  # type: ignore[no-untyped-call]
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def test_modbus_client_sets_power_and_the_meter_measures_it(simulator: Simulator) -> None:
    assert not simulator.pcs.write_register(0x2000, 6000, device_id=1).isError()
    eventually(lambda: simulator.active_power_kw() > 599.0)
    frequency, voltage, power = simulator.meter_floats()
    assert 49.5 < frequency < 50.1
    assert 32_000 < voltage < 34_500
    assert 570_000 < power < 590_000


def test_person_at_the_plant(simulator: Simulator) -> None:
    assert simulator.order("estop on") == "done: estop on"
    eventually(lambda: simulator.breaker() == 1)
    assert simulator.order("estop maybe").startswith("not understood: expected press or release")
    assert simulator.order("estop off") == "done: estop off"
    assert not simulator.pcs.write_coil(1, True, device_id=1).isError()
    eventually(lambda: simulator.breaker() == 2)

    assert simulator.order("frequency -0.5 60") == "done: frequency -0.5 60"
    eventually(lambda: simulator.meter_floats()[0] < 49.6)

    assert simulator.order("freeze meter") == "done: freeze meter"
    before = simulator.meter_floats()
    assert not simulator.pcs.write_register(0x2000, 1000, device_id=1).isError()
    eventually(lambda: abs(simulator.active_power_kw() - 100.0) < 1.0)
    assert simulator.meter_floats() == before


def test_unplugged_meter_is_gone_and_comes_back(simulator: Simulator) -> None:
    assert simulator.order("unplug meter") == "done: unplug meter"
    with contextlib.suppress(ModbusException, OSError):
        assert simulator.meter.read_holding_registers(0, count=2, device_id=1).isError()
    simulator.meter.close()  # type: ignore[no-untyped-call]
    assert not simulator.meter.connect()  # type: ignore[no-untyped-call]
    assert simulator.breaker() == 2, "the PCS is still there"
    assert simulator.order("plug meter") == "done: plug meter"
    assert simulator.meter.connect()  # type: ignore[no-untyped-call]
    assert simulator.meter_floats()[0] > 40.0


def test_it_ends_with_its_lifeline(simulator: Simulator) -> None:
    assert simulator.process.stdin is not None
    simulator.process.stdin.close()
    assert simulator.process.wait(10) == 0


def test_it_ends_when_told(simulator: Simulator) -> None:
    simulator.process.send_signal(signal.SIGTERM)
    assert simulator.process.wait(10) == 0


def test_taken_address_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site = tmp_path / "site.yaml"
        port = taken.getsockname()[1]
        site.write_text(SITE.format(pcs=port, meter=port, maps=shipped("pointmaps/devices")))
        done = subprocess.run(
            [sys.executable, "-m", "gateway.demo.runner", str(site)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert "simulator cannot start" in done.stderr or "address" in done.stderr
    assert "Traceback" not in done.stderr
