"""The heartbeat on the bus hangs on the control cycle: when that stands still the driver alone keeps nothing up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import can
import pytest

import gateway.control.watchdog
from gateway.config import load_site
from gateway.core import Core
from tests.kit.cankit import own_channel, write_dbc
from tests.kit.feedkit import QuietLog
from tests.kit.recordingport import until

DBC = """
BO_ 512 Beat: 8 GW
 SG_ Count : 0|8@1+ (1,0) [0|0] "" BMS

BO_ 513 Orders: 8 GW
 SG_ Power : 0|16@1- (0.1,0) [-100|100] "kW" BMS

BO_ 256 Pack: 8 BMS
 SG_ Voltage : 0|16@1+ (0.1,0) [0|0] "V" GW
"""
MAP = "point,kind,message,signal,low,high\nvoltage,analog,Pack,Voltage,,\npower,setpoint,Orders,Power,-100,100\n"
SITE = """\
site: hilltop
devices:
  - name: bms
    driver: can
    interface: virtual
    channel: {channel}
    dbc: test.dbc
    map: bms.csv
    prefix: bms
    listen_only: false
    default_cycle_ms: 1000
    transmit: [{{message: Beat, cycle_ms: 20, counter: Count}}, {{message: Orders, cycle_ms: 20}}]
control:
  watchdog_s: 0.5
  units: [{{unit: pack, setpoint: bms/power}}]
"""


class StoppedClock:
    """The cycle's clock has stopped: nothing else of the core has."""

    def set(self, at_ns: int) -> None: ...

    def close(self) -> None: ...


class Bms:
    """Hears the gateway on the bus."""

    def __init__(self, channel: str) -> None:
        self.bus = can.Bus(interface="virtual", channel=channel)
        self.beats = 0

    def heard(self) -> int:
        """Beats so far."""
        while (message := self.bus.recv(0)) is not None:
            self.beats += message.arbitration_id == 0x200
        return self.beats


def test_a_cycle_that_stands_still_stops_the_heartbeat_and_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.control.watchdog, "KILL_AFTER", 10_000)
    channel = own_channel()
    write_dbc(tmp_path, DBC)
    (tmp_path / "bms.csv").write_text(MAP)
    (tmp_path / "site.yaml").write_text(SITE.format(channel=channel))

    async def story() -> None:
        plan = load_site(tmp_path / "site.yaml")
        plan.state_dir = tmp_path / "state"
        log, bms = QuietLog(), Bms(channel)
        core = Core(plan, log)
        await core.start()
        control = core.control
        assert control is not None
        try:
            await until(lambda: bms.heard() > 5, "the heartbeat")
            clock = control._clock
            assert clock is not None
            cycles = control.counters.cycles
            control._clock = StoppedClock()
            await until(lambda: not control.running, "control to stand still")
            await until(lambda: "cyclic messages held back" in str(log.lines), "the driver to notice")
            bms.heard()
            before = bms.beats
            await asyncio.sleep(0.3)  # fifteen beats' time
            assert bms.heard() == before, "the driver alone keeps nothing up"
            assert control.counters.cycles <= cycles + 2

            control._clock = clock
            clock.set(1)
            await until(lambda: bms.heard() > before + 5, "the heartbeat again")
            assert core.table.value[plan.catalogue.rows["system/interlock/watchdog/latched"]] == 1.0
        finally:
            await core.stop()
            bms.bus.shutdown()

    asyncio.run(story())
