"""kill -9 of the gateway while it sends cyclic frames: the battery protects itself, and nothing jumps afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import can
import psutil
import pytest

from tests.kit.cankit import needs_multicast
from tests.kit.gateway import DemoSite, wait_until

HEARTBEAT, ORDERS, STATE, STATUS, FAULT = 0x200, 0x201, 0x120, 0x122, 0x132
OPEN, COMMUNICATION = 1, 9


@contextlib.contextmanager
def ear(demo: DemoSite) -> Iterator[can.BusABC]:
    """A third party on the bus."""
    text = demo.site.read_text()
    group, port = re.search(r"channel: (239\S+)", text), re.search(r"port: (\d+), hop_limit", text)
    assert group is not None and port is not None
    bus = can.Bus(interface="udp_multicast", channel=group[1], port=int(port[1]), hop_limit=0)
    try:
        yield bus
    finally:
        bus.shutdown()


def hears(bus: can.BusABC, key: int, seconds: float) -> bool:
    """Whether a frame with this identifier comes."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        message = bus.recv(left)
        if message is not None and message.arbitration_id == key:
            return True
    return False


def online(demo: DemoSite) -> set[str]:
    return {str(line["device"]) for line in demo.log_lines() if line.get("event") == "device online"}


def said(bus: can.BusABC, key: int) -> bytes:
    """The battery's next frame of this kind, not one from before."""
    while bus.recv(0) is not None:
        pass
    while True:
        message = bus.recv(10.0)
        assert message is not None, "the battery is silent"
        if message.arbitration_id == key:
            return bytes(message.data)


def contactor(bus: can.BusABC) -> int:
    return said(bus, STATUS)[0] >> 4 & 3


def current_a(bus: can.BusABC) -> float:
    return int.from_bytes(said(bus, STATE)[2:4], "little", signed=True) / 10


def kill_everything(demo: DemoSite) -> None:
    """The supervisor first, so that nobody starts the core again."""
    family = [demo.pid, *(child.pid for child in psutil.Process(demo.pid).children(recursive=True))]
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert demo._gateway is not None
    demo._gateway.wait()
    demo._gateway = None
    demo.log_path.rename(demo.log_path.with_name("first_life.log"))


@pytest.mark.timeout(300)
def test_a_killed_gateway_falls_silent_on_can_and_its_return_moves_nothing(tmp_path: Path) -> None:
    needs_multicast()
    with DemoSite(tmp_path, whole=True) as demo:
        demo.start_simulator()
        demo.start()
        wait_until(lambda: online(demo) == {"pcs1", "meter", "bms1", "pmu1", "pv1"}, "every device")
        assert demo.cli("command", "bess1/bms/close_contactor", "1").returncode == 0
        with ear(demo) as bus:
            assert hears(bus, HEARTBEAT, 10.0) and hears(bus, ORDERS, 10.0)
            kill_everything(demo)
            said(bus, STATE)
            assert not hears(bus, HEARTBEAT, 1.0), "the frames have stopped"
            wait_until(lambda: contactor(bus) == OPEN, "the battery to open it")
            demo.start()
            assert hears(bus, HEARTBEAT, 20.0), "the gateway is back"
            assert not hears(bus, ORDERS, 1.5), "what was ordered before is not ordered again"
            assert (contactor(bus), current_a(bus)) == (OPEN, 0.0)
            assert int.from_bytes(said(bus, FAULT)[:2], "little") == COMMUNICATION, "for want of the heartbeat"
            done = demo.cli("command", "bess1/bms/close_contactor", "1")
            assert done.returncode == 0, done.stderr
            demo.order("frequency 49.5")
            wait_until(lambda: current_a(bus) > 100.0, "power again, when a person wants it")
