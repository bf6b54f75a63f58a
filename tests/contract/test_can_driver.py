"""The CAN driver under the suite of every field driver: by a thread (virtual), by the loop (udp_multicast, slcan)."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts import DeviceState, FieldDriver, Write, WriteLost, WriteRefused
from protocols.can.driver import CanDriver
from protocols.can.simulator import CanSimulator
from tests.contract.driver_suite import DevicePeer, DriverSuite
from tests.kit.cankit import GROUP, device, needs_multicast, own_channel, rows_and_values, write_dbc
from tests.kit.modbuskit import device_rows
from tests.kit.ports import free_port
from tests.kit.recordingport import RecordingPort, until

DBC = """
BO_ 256 Pack: 8 BMS
 SG_ Voltage : 7|16@0- (0.5,0) [0|0] "V" GW
 SG_ Energy : 16|32@1+ (1,0) [0|0] "kWh" GW

BO_ 272 Temperatures: 8 BMS
 SG_ Select M : 0|8@1+ (1,0) [0|0] "" GW
 SG_ First m0 : 16|32@1- (1,0) [0|0] "degC" GW
 SG_ Second m1 : 16|32@1- (1,0) [0|0] "degC" GW

BO_ 512 Orders: 8 GW
 SG_ Power : 0|16@1- (0.1,0) [-100|100] "kW" BMS
 SG_ Count : 16|4@1+ (1,0) [0|0] "" BMS
 SG_ Check : 56|8@1+ (1,0) [0|0] "" BMS
"""
TAIL = "SIG_VALTYPE_ 272 First : 1;\nSIG_VALTYPE_ 272 Second : 1;\n"
MAP = """
point,kind,message,signal
voltage,analog,Pack,Voltage
energy,counter,Pack,Energy
first,analog,Temperatures,First
second,analog,Temperatures,Second
power,setpoint,Orders,Power
"""
ORDERS = {"message": "Orders", "cycle_ms": 50, "counter": "Count", "checksum": {"signal": "Check", "method": "xor8"}}


class CanPeer(DevicePeer):
    """A battery system played by the package's simulator on a bus within this process."""

    device = "bms"
    rows = 5
    command = 4
    command_values = (12.5, -3.0)
    interface = "virtual"

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._plan = device(
                write_dbc(Path(folder), DBC, TAIL),
                MAP,
                listen_only=False,
                silent_ms=200,
                default_cycle_ms=20,
                reconnect_max_s=0.5,
                transmit=[ORDERS],
                interface=self.interface,
                **self.bus(),
            )
        self.measured = [0, 1, 2, 3]
        self.simulator = CanSimulator(self._plan)

    def bus(self) -> dict[str, Any]:
        return {"channel": own_channel()}

    async def start(self) -> None:
        await self.simulator.start()

    async def stop(self) -> None:
        await self.simulator.stop()

    def driver(self, port: RecordingPort) -> FieldDriver:
        return CanDriver(self._plan, port)

    def show(self, values: dict[int, float]) -> None:
        self.simulator.set(*rows_and_values(values))

    def freeze(self, on: bool) -> None:
        self.simulator.faults.frozen = on

    def garble(self, on: bool) -> None:
        self.simulator.faults.garbage = on

    def slow(self, delay_s: float) -> None:
        self.simulator.faults.slow_s = delay_s

    def lose(self, share: float) -> None:
        self.simulator.faults.lose = share

    def refuse_writes(self, on: bool) -> None:
        raise NotImplementedError("CAN has no answer to a frame")

    def written(self) -> list[tuple[int, float]]:
        return self.simulator.written()


class MulticastPeer(CanPeer):
    """The same where other processes could hear it."""

    interface = "udp_multicast"

    def bus(self) -> dict[str, Any]:
        return {"channel": GROUP, "options": {"port": free_port()}}


class SlcanPeer(CanPeer):
    """The same behind a serial adapter."""

    interface = "slcan"

    def bus(self) -> dict[str, Any]:
        return {"channel": str(Path(tempfile.gettempdir(), own_channel())), "options": {"sleep_after_open": 0.0}}


class CanSuite(DriverSuite):
    """CAN has no acknowledgement but the bus's own: what the suite says of answers to writes is said of frames here."""

    patience_s = 0.2

    def test_a_write_is_done_when_the_device_has_acknowledged_it(self) -> None:
        """Done when the bus has the frame; the device hears it at once and then with every cycle."""

        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            peer.written()
            for value in peer.command_values:
                await driver.write(Write(row=peer.command, value=value))
                heard: list[tuple[int, float]] = []
                await until(lambda into=heard: bool(into.extend(peer.written()) or into), "the command")
                assert heard == [(peer.command, value)]
                assert port.value[peer.command] == value
                assert port.quality[peer.command] == 0
            assert isinstance(peer, CanPeer)
            assert not peer.simulator.spoilt, "every checksum is right"

        self.play(story)

    def test_a_write_the_device_refuses_says_so(self) -> None:
        """What the signal cannot carry is refused before it is sent."""

        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            peer.written()
            with pytest.raises(WriteRefused, match=r"-100 to 100"):
                await driver.write(Write(row=peer.command, value=100.5))
            assert peer.written() == []
            await driver.write(Write(row=peer.command, value=100.0))

        self.play(story)

    def test_a_write_without_an_answer_is_lost(self) -> None:
        """A device that has fallen silent is sent nothing."""

        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            peer.freeze(True)
            await until(lambda: port.states_of(peer.device)[-1] is DeviceState.LOST, "silence")
            with pytest.raises(WriteLost, match="lost"):
                await driver.write(Write(row=peer.command, value=peer.command_values[0]))

        self.play(story)


class TestCanByThread(CanSuite):
    def peer(self) -> DevicePeer:
        return CanPeer()


class TestCanMulticast(CanSuite):
    def peer(self) -> DevicePeer:
        needs_multicast()
        return MulticastPeer()


class TestCanSlcan(CanSuite):
    def peer(self) -> DevicePeer:
        return SlcanPeer()


def test_the_maps_of_this_file_are_as_the_peers_say() -> None:
    assert [row["kind"] for row in device_rows(MAP)][CanPeer.command] == "setpoint"


def test_a_bus_that_cannot_be_opened_is_tried_again_and_says_why(tmp_path: Path) -> None:
    plan = device(
        write_dbc(tmp_path, DBC, TAIL),
        MAP.replace("power,setpoint,Orders,Power\n", ""),
        interface="slcan",
        channel=str(tmp_path / "no-such-tty"),
    )

    async def scene() -> None:
        port = RecordingPort(5)
        task = asyncio.create_task(CanDriver(plan, port).run())
        await until(lambda: port.states_of("bms")[-1:] == [DeviceState.LOST], "lost")
        assert "no-such-tty" in port.states[-1][2]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
