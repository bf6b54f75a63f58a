"""The driver against a device of other hands: pymodbus's own server, over TCP and over a serial line (two ptys)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator

import numpy as np
import pytest
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusSerialServer, ModbusTcpServer

from gateway.contracts import DeviceState, Write, WriteRefused
from gateway.points import Quality
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.plan import LinePlan
from tests.kit.modbuskit import line
from tests.kit.recordingport import RecordingPort, until

# Registers of the device; pymodbus counts its data blocks from one.
HOLDING = [0x3FC0, 0x0000, 0xFFFE, 0x0005, 0x0000, 0x0000]
INPUT = [0x1234, 0x5678, 0x0002]

MAP = """
point,kind,table,address,type,order,bit
ratio,analog,holding,0,float32,,
signed,analog,holding,2,int16,,
bit0,binary,holding,3,uint16,,0
bit1,binary,holding,3,uint16,,1
breaker,double,input,2,uint16,,0
total,counter,input,0,uint32,CDAB,
run,control,coil,2,bit,,
limit,setpoint,holding,4,float32,CDAB,
flag,control,holding,3,uint16,,9
beyond,analog,holding,5000,int16,,
"""


def context() -> ModbusServerContext:
    device = ModbusDeviceContext(
        hr=ModbusSequentialDataBlock(1, HOLDING),
        ir=ModbusSequentialDataBlock(1, INPUT),
        co=ModbusSequentialDataBlock(1, [False] * 8),
        di=ModbusSequentialDataBlock(1, [False] * 8),
    )
    return ModbusServerContext(devices={1: device}, single=False)


@contextlib.asynccontextmanager
async def driving(plan: LinePlan) -> AsyncIterator[tuple[ModbusDriver, RecordingPort]]:
    port = RecordingPort(len(plan.rows))
    driver = ModbusDriver(plan, port)
    task = asyncio.create_task(driver.run())
    try:
        yield driver, port
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def conversation(driver: ModbusDriver, port: RecordingPort) -> None:
    """Read everything, write everything, read it back; then ask for what is not there."""
    await until(lambda: bool((port.quality[:9] == 0).all()), f"nine good points, not {port.quality}")
    assert port.value[:9].tolist() == [1.5, -2.0, 1.0, 0.0, 2.0, float(0x56781234), 0.0, 0.0, 0.0]
    assert port.quality[9] & int(Quality.INVALID)
    assert [facts["point"] for facts in port.log.of("address refused")] == ["dev/beyond"]
    await driver.write(Write(row=6, value=1))
    await driver.write(Write(row=7, value=-12.5))
    await driver.write(Write(row=8, value=1))
    await until(lambda: port.value[6:9].tolist() == [1.0, -12.5, 1.0], "the commands in force")
    assert port.value[2] == 1.0, "the other bits of the register stay"
    with pytest.raises(WriteRefused):
        await driver.write(Write(row=8, value=3))
    assert port.states_of("dev") == [DeviceState.CONNECTING, DeviceState.ONLINE]


def test_pymodbus_server_over_tcp() -> None:
    async def story() -> None:
        server = ModbusTcpServer(context(), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        number = server.transport.sockets[0].getsockname()[1]
        try:
            async with driving(line(MAP, url=f"tcp://127.0.0.1:{number}", scan_ms=20, timeout_ms=1000)) as (
                driver,
                port,
            ):
                await conversation(driver, port)
        finally:
            await server.shutdown()

    asyncio.run(story())


class Cable:
    """Two pseudo-terminals with their far ends wired together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends = [os.openpty(), os.openpty()]
        self.names = [os.ttyname(near) for _, near in self._ends]
        for far, near in self._ends:
            tty.setraw(near)
            os.set_blocking(far, False)
        (one, _), (two, _) = self._ends
        loop.add_reader(one, self._carry, one, two)
        loop.add_reader(two, self._carry, two, one)

    @staticmethod
    def _carry(source: int, sink: int) -> None:
        with contextlib.suppress(OSError):
            os.write(sink, os.read(source, 1024))

    def close(self) -> None:
        for far, near in self._ends:
            self._loop.remove_reader(far)
            os.close(far)
            os.close(near)


def test_pymodbus_server_over_a_serial_line() -> None:
    async def story() -> None:
        try:
            cable = Cable(asyncio.get_running_loop())
        except OSError as error:
            pytest.skip(f"no pseudo-terminals here: {error}")
        server = ModbusSerialServer(context(), port=cable.names[0], baudrate=115200, parity="N")
        await server.serve_forever(background=True)
        url = f"rtu://{cable.names[1]}?baudrate=115200&parity=N"
        try:
            async with driving(line(MAP, url=url, scan_ms=50, timeout_ms=1000)) as (driver, port):
                await conversation(driver, port)
        finally:
            await server.shutdown()
            cable.close()

    asyncio.run(story())


def test_a_serial_adapter_that_is_pulled_out() -> None:
    async def story() -> None:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        try:
            cable = Cable(asyncio.get_running_loop())
        except OSError as error:
            pytest.skip(f"no pseudo-terminals here: {error}")
        server = ModbusSerialServer(context(), port=cable.names[0], baudrate=115200, parity="N")
        await server.serve_forever(background=True)
        url = f"rtu://{cable.names[1]}?baudrate=115200&parity=N"
        plan = line(MAP, url=url, scan_ms=20, timeout_ms=200, reconnect_max_s=0.3)
        async with driving(plan) as (_, port):
            await until(lambda: bool((port.quality[:9] == 0).all()), "good")
            await server.shutdown()
            cable.close()
            await until(lambda: bool((port.quality & np.uint32(Quality.COMM_LOST)).all()), "comm lost")
            assert port.value[0] == 1.5
        assert not errors

    asyncio.run(story())


def test_a_serial_port_that_is_not_there_is_awaited() -> None:
    async def story() -> None:
        plan = line(MAP, url="rtu:///dev/no-such-port", scan_ms=50, reconnect_max_s=0.3)
        async with driving(plan) as (_, port):
            await until(lambda: len(port.states) == 2, "lost")
            assert port.states[1][1] is DeviceState.LOST
            assert "no-such-port" in port.states[1][2]
            assert bool((port.quality & np.uint32(Quality.COMM_LOST)).all())

    asyncio.run(story())
