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

from tests.kit.cankit import needs_multicast
from tests.kit.gateway import DemoSite, wait_until

HEARTBEAT, ORDERS, STATUS = 0x200, 0x201, 0x122
OPEN = 1


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


def contactor(bus: can.BusABC) -> int:
    """What the battery says of it: bits 4 and 5 of its status."""
    while True:
        message = bus.recv(10.0)
        assert message is not None, "the battery is silent"
        if message.arbitration_id == STATUS:
            return message.data[0] >> 4 & 3


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
            while bus.recv(0) is not None:
                pass
            assert not hears(bus, HEARTBEAT, 1.0), "the frames have stopped"
            wait_until(lambda: contactor(bus) == OPEN, "the battery to open it")
            demo.start()
            assert hears(bus, HEARTBEAT, 20.0), "the gateway is back"
            assert not hears(bus, ORDERS, 1.5), "what was ordered before is not ordered again"
            assert contactor(bus) == OPEN
        assert demo.point("bess1/bms/fault_code")["value"] == 9.0, "for want of the heartbeat"
        assert demo.point("bess1/pcs/active_power")["value"] == 0.0
        done = demo.cli("command", "bess1/bms/close_contactor", "1")
        assert done.returncode == 0, done.stderr
        wait_until(lambda: demo.point("bess1/pcs/active_power")["value"] > 150.0, "power again, when a person wants it")
