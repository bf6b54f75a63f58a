"""The driver between a bus and the core, as stories with the simulated devices at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import can
import pytest

from gateway.contracts import DeviceState, Pulse, Write, WriteLost, WriteRefused
from gateway.points import Quality
from protocols.can import client
from protocols.can.driver import BUS_OFF, CanDriver
from protocols.can.encode import sealed
from protocols.can.plan import BusPlan
from protocols.can.simulator import CanSimulator
from tests.kit.cankit import (
    GROUP,
    ROOT,
    bus,
    device,
    needs_multicast,
    own_channel,
    rows_and_values,
    source,
    write_dbc,
)
from tests.kit.modbuskit import device_rows
from tests.kit.ports import free_port
from tests.kit.recordingport import RecordingPort, until

DBC = """
BO_ 256 Pack: 8 BMS
 SG_ Voltage : 0|16@1- (1,0) [0|0] "V" GW
BO_ 257 Other: 8 BMS
 SG_ Current : 0|16@1- (1,0) [0|0] "A" GW
BO_ 512 Heartbeat: 8 GW
 SG_ Count : 0|4@1+ (1,0) [0|0] "" BMS
 SG_ Check : 56|8@1+ (1,0) [0|0] "" BMS
BO_ 513 Orders: 8 GW
 SG_ Request : 0|2@1+ (1,0) [0|0] "" BMS
 SG_ Power : 16|16@1- (0.1,0) [0|0] "kW" BMS
"""
TAIL = 'VAL_ 513 Request 0 "None" 1 "Open" 2 "Close" ;\n'
MAP = """
point,kind,message,signal,on,off
voltage,analog,Pack,Voltage,,
power,setpoint,Orders,Power,,
close,control,Orders,Request,Close,Open
"""
VOLTAGE, POWER, CLOSE = range(3)
HEARTBEAT = {
    "message": "Heartbeat",
    "cycle_ms": 20,
    "counter": "Count",
    "checksum": {"signal": "Check", "method": "crc8_sae_j1850", "data_id": 0x200},
}
ORDERS = {"message": "Orders", "cycle_ms": 20, "stop": {"Request": "Open", "Power": 0}}
LOST = int(Quality.COMM_LOST)


@pytest.fixture
def plan(tmp_path: Path) -> BusPlan:
    keys = {"listen_only": False, "silent_ms": 200, "default_cycle_ms": 20, "transmit": [HEARTBEAT, ORDERS]}
    return device(write_dbc(tmp_path, DBC, TAIL), MAP, **keys)


@contextlib.asynccontextmanager
async def running(plan: BusPlan, port: RecordingPort) -> AsyncIterator[CanDriver]:
    driver = CanDriver(plan, port)
    task = asyncio.create_task(driver.run())
    try:
        yield driver
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def played(plan: BusPlan) -> AsyncIterator[CanSimulator]:
    simulator = CanSimulator(plan)
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


class Ear:
    """A third party on a virtual bus, who hears all and may speak."""

    def __init__(self, plan: BusPlan) -> None:
        self.bus = can.Bus(interface="virtual", channel=plan.access.channel)

    def heard(self) -> list[can.Message]:
        out = []
        while (message := self.bus.recv(0)) is not None:
            out.append(message)
        return out


@contextlib.contextmanager
def ear(plan: BusPlan):  # type: ignore[no-untyped-def]
    listener = Ear(plan)
    try:
        yield listener
    finally:
        listener.bus.shutdown()


def state(port: RecordingPort, name: str) -> DeviceState | None:
    found = port.states_of(name)
    return found[-1] if found else None


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def test_the_heartbeat_begins_at_once_counts_and_is_sealed(plan: BusPlan) -> None:
    async def story() -> None:
        with ear(plan) as listener:
            async with running(plan, RecordingPort(3)):
                found: list[can.Message] = []
                await until(lambda: bool(found.extend(listener.heard())) or len(found) > 20, "twenty frames")
        assert {message.arbitration_id for message in found} == {0x200}, "orders wait for the first command"
        counts = [message.data[0] for message in found]
        assert counts == [n % 16 for n in range(len(counts))]
        assert all(sealed(message.data, plan.transmit[0].checksum) for message in found if plan.transmit[0].checksum)

    play(story)


def test_commands_are_sent_on_with_every_cycle_and_stop_in_order(plan: BusPlan) -> None:
    async def story() -> None:
        port = RecordingPort(3)
        with ear(plan) as listener:
            async with played(plan) as simulator, running(plan, port) as driver:
                await until(lambda: state(port, "bms") is DeviceState.ONLINE, "online")
                await driver.write(Write(row=CLOSE, value=1.0))
                await driver.write(Write(row=POWER, value=-12.3))
                assert (port.value[CLOSE], port.value[POWER]) == (1.0, pytest.approx(-12.3))
                heard: list[tuple[int, float]] = []
                await until(lambda: bool(heard.extend(simulator.written())) or len(heard) > 1, "both")
                assert heard == [(CLOSE, 1.0), (POWER, pytest.approx(-12.3))]
                listener.heard()
                orders: list[bytes] = []
                await until(
                    lambda: (
                        bool(orders.extend(bytes(m.data) for m in listener.heard() if m.arbitration_id == 513))
                        or len(orders) > 5
                    ),
                    "the cycle",
                )
                assert set(orders) == {bytes((2, 0)) + (-123).to_bytes(2, "little", signed=True) + bytes(4)}
            last = [bytes(m.data) for m in listener.heard() if m.arbitration_id == 513][-1]
            assert last == bytes((1, 0, 0, 0, 0, 0, 0, 0)), "the stop frame"

    play(story)


def test_a_lost_device_is_commanded_nothing_until_someone_commands_anew(plan: BusPlan) -> None:
    async def story() -> None:
        port = RecordingPort(3)
        with ear(plan) as listener:
            async with played(plan) as simulator, running(plan, port) as driver:
                await until(lambda: state(port, "bms") is DeviceState.ONLINE, "online")
                await driver.write(Write(row=CLOSE, value=1.0))
                simulator.faults.frozen = True
                await until(lambda: state(port, "bms") is DeviceState.LOST, "lost")
                assert port.quality[CLOSE] & LOST
                listener.heard()
                simulator.faults.frozen = False
                await until(lambda: state(port, "bms") is DeviceState.ONLINE, "back")
                await asyncio.sleep(0.1)
                frames = listener.heard()
                assert 513 not in {message.arbitration_id for message in frames}, "no contactor closes by itself"
                assert 512 in {message.arbitration_id for message in frames}, "the heartbeat goes on"
                assert port.quality[CLOSE] & LOST

    play(story)


def test_what_can_cannot_do_is_refused_in_words(plan: BusPlan) -> None:
    async def story() -> None:
        port = RecordingPort(3)
        async with played(plan), running(plan, port) as driver:
            with pytest.raises(WriteLost, match="connecting"):
                await driver.write(Write(row=POWER, value=1.0))
            await until(lambda: state(port, "bms") is DeviceState.ONLINE, "online")
            with pytest.raises(WriteRefused, match="pulses"):
                await driver.write(Write(row=CLOSE, value=1.0, pulse=Pulse.SHORT))
            with pytest.raises(WriteRefused, match="16 bits"):
                await driver.write(Write(row=POWER, value=4000.0))
            with pytest.raises(WriteRefused, match="no state"):
                await driver.write(Write(row=CLOSE, value=2.0))

    play(story)


def test_a_bus_that_is_listened_to_hears_nothing_from_us(tmp_path: Path) -> None:
    plan = device(write_dbc(tmp_path, DBC), "point,kind,message,signal\nvoltage,analog,Pack,Voltage")

    async def story() -> None:
        port = RecordingPort(1)
        with ear(plan) as listener:
            async with running(plan, port):
                message = can.Message(arbitration_id=256, data=bytes((42, 0)) + bytes(6), is_extended_id=False)
                await until(lambda: listener.bus.send(message) or port.value[0] == 42.0, "the value")
            assert listener.heard() == []

    play(story)


def test_two_devices_on_one_bus_are_lost_apart(tmp_path: Path) -> None:
    dbc, channel = write_dbc(tmp_path, DBC), own_channel()
    keys = {"channel": channel, "silent_ms": 200, "default_cycle_ms": 20}
    plan = bus(
        source(dbc, device_rows("point,kind,message,signal\nvoltage,analog,Pack,Voltage"), name="one", **keys),
        source(dbc, device_rows("point,kind,message,signal\ncurrent,analog,Other,Current"), 1, name="two", **keys),
    )

    async def story() -> None:
        port = RecordingPort(2)
        with ear(plan) as listener:
            async with running(plan, port) as driver:
                message = can.Message(arbitration_id=256, data=bytes(8), is_extended_id=False)
                await until(lambda: listener.bus.send(message) or state(port, "two") is DeviceState.LOST, "two is lost")
                assert port.states_of("one") == [DeviceState.CONNECTING, DeviceState.ONLINE]
                assert port.degraded == [([1], LOST)]
                assert driver.silent_messages() == [("0x101", "Other")]
                assert list(driver.counters()) == ["one", "two"]

    play(story)


def test_error_frames_bus_off_and_unknown_identifiers_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's error frames, as a virtual bus carries them: the driver believes it is on socketcan."""
    plan = device(write_dbc(tmp_path, DBC), "point,kind,message,signal\nvoltage,analog,Pack,Voltage", silent_ms=5000)
    virtual = plan.access
    plan = replace(plan, access=replace(virtual, interface="socketcan"))
    monkeypatch.setattr("protocols.can.driver.open_bus", lambda access: client.open_bus(virtual))
    monkeypatch.setattr("protocols.can.driver._UNKNOWN_AFTER_S", 0.0)

    async def story() -> None:
        port = RecordingPort(1)
        with ear(plan) as listener:
            async with running(plan, port) as driver:
                good = can.Message(arbitration_id=256, data=bytes(8), is_extended_id=False)
                await until(lambda: listener.bus.send(good) or bool((port.quality == 0).all()), "good")
                for _ in range(3):
                    listener.bus.send(can.Message(arbitration_id=0x8, is_error_frame=True, dlc=8))
                listener.bus.send(can.Message(arbitration_id=0x7FF, data=b"?", is_extended_id=False))
                listener.bus.send(can.Message(arbitration_id=BUS_OFF, is_error_frame=True, dlc=8))
                await until(lambda: state(port, "bms") is DeviceState.LOST, "bus-off")
                assert "bus-off" in port.states[-1][2]
                assert port.quality[0] & LOST
                await until(lambda: listener.bus.send(good) or bool((port.quality == 0).all()), "good again")
                figures = driver.counters()["bms"]
                assert (figures["error_frames"], figures["bus_off"], figures["unknown_frames"]) == (4, 1, 1)
                assert driver.unknown_identifiers() == [("0x7FF", 1)]
                assert len(port.log.of("error frames on the bus")) == 1
                await until(lambda: bool(port.log.of("identifiers that no DBC knows")), "told")
                assert port.log.of("identifiers that no DBC knows")[0]["ids"] == "0x7FF"

    play(story)


def test_without_multicast_an_slcan_line_is_taken_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.can.client.multicast_works", lambda channel: False)
    plan = device(
        write_dbc(tmp_path, DBC),
        "point,kind,message,signal\nvoltage,analog,Pack,Voltage",
        interface="udp_multicast",
        channel=GROUP,
        default_cycle_ms=20,
        fallback=str(tmp_path / "tty"),
    )

    async def story() -> None:
        port = RecordingPort(1)
        async with played(plan) as simulator, running(plan, port):
            simulator.set(*rows_and_values({0: 321.0}))
            await until(lambda: port.value[0] == 321.0, "the value")
        assert len(port.log.of("no multicast on this machine")) == 1
        assert not (tmp_path / "tty").exists()

    play(story)


def test_an_adapter_that_is_pulled_is_lost_and_comes_back(tmp_path: Path) -> None:
    plan = device(
        write_dbc(tmp_path, DBC),
        "point,kind,message,signal\nvoltage,analog,Pack,Voltage",
        interface="slcan",
        channel=str(tmp_path / "tty"),
        options={"sleep_after_open": 0.0},
        silent_ms=60_000,
        default_cycle_ms=20,
        reconnect_max_s=0.5,
    )

    async def story() -> None:
        port = RecordingPort(1)
        async with running(plan, port):
            async with played(plan):
                await until(lambda: state(port, "bms") is DeviceState.ONLINE, "online")
            await until(lambda: state(port, "bms") is DeviceState.LOST, "lost by the line, not by silence")
            async with played(plan):
                await until(lambda: state(port, "bms") is DeviceState.ONLINE, "online again")

    play(story)


CHILD = """
    import sys, time, can
    bus = can.Bus(interface="udp_multicast", channel=sys.argv[1], port=int(sys.argv[2]))
    print("up", flush=True)
    for n in range(1000):
        if n == 100:
            bus._multicast.send(b"no frame at all")
        bus.send(can.Message(arbitration_id=256, data=bytes((n & 255, n >> 8)) + bytes(6), is_extended_id=False))
        time.sleep(0.001)
    bus.shutdown()
"""


def test_a_bus_between_two_processes_loses_no_change(tmp_path: Path) -> None:
    needs_multicast()
    number = free_port()
    keys = {"interface": "udp_multicast", "channel": GROUP, "options": {"port": number}}
    plan = device(write_dbc(tmp_path, DBC), "point,kind,message,signal\nvoltage,analog,Pack,Voltage", **keys)

    async def story() -> None:
        port = RecordingPort(1)
        async with running(plan, port) as driver:
            await until(lambda: driver.counters()["bms"]["opens"] == 1, "open")
            command = [sys.executable, "-c", textwrap.dedent(CHILD), GROUP, str(number)]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as child:
                await until(lambda: child.poll() is not None, "the other process", 60.0)
            await until(lambda: port.value[0] == 999.0, "the last value")
            assert port.seen[0] == set(map(float, range(1000)))
            assert driver.counters()["bms"]["garbage"] == 1

    play(story)
