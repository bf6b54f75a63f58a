"""The driver of an RTU on real sockets: several addresses, commands, and what a person reads in the log."""

from __future__ import annotations

import asyncio
import contextlib
import time

import numpy as np
import pytest

from gateway.contracts import DeviceState, Write, WriteLost, WriteRefused
from gateway.points import Quality
from protocols.iec104.field.driver import RtuDriver
from protocols.iec104.field.simulator import RtuSimulator
from tests.kit.ports import free_ports
from tests.kit.recordingport import RecordingPort, until
from tests.kit.rtukit import QUICK, at, at_work, rtu

MAP = """
point,kind,ca,ioa,type,mode
breaker,double,1,1,M_DP_TB_1,
power,analog,2,2,M_ME_TF_1,
run,control,1,11,C_SC_NA_1,direct
limit,setpoint,2,12,C_SE_NC_1,select
"""


def test_quality_and_time_of_the_rtu_reach_the_core_untouched() -> None:
    async def scene() -> None:
        async with at_work(rtu(MAP, apci=QUICK)) as at:
            await until(lambda: at.count("interrogations") >= 2, "the first interrogation")
            stamp = 1_700_000_000_123_000_000
            quality = np.array([int(Quality.SUBSTITUTED)], np.uint32)
            at.simulator.tell(np.array([1], np.uint32), np.array([7.5]), quality, stamp)
            await until(lambda: at.port.value[1] == 7.5, "the value")
            assert (at.port.quality[1], at.port.time_ns[1]) == (int(Quality.SUBSTITUTED), stamp)
            assert at.count("points_missing") == 0 and at.count("unknown_points") == 0

    asyncio.run(scene())


def test_the_second_address_takes_over_and_the_device_says_which() -> None:
    async def scene() -> None:
        plan = rtu(MAP, url=["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"], apci=QUICK, reconnect_max_s=0.2)
        first, second = RtuSimulator(at(plan, ("127.0.0.1", 0))), RtuSimulator(at(plan, ("127.0.0.1", 0)))
        await first.start()
        await second.start()
        port = RecordingPort(4)
        task = asyncio.create_task(RtuDriver(at(plan, *first.addresses, *second.addresses), port).run())
        try:
            await until(lambda: port.states_of("rtu1")[-1:] == [DeviceState.ONLINE], "online")
            assert str(first.addresses[0][1]) in port.states[-1][2]
            await first.stop()
            await until(lambda: len(port.states) == 4, "the other address")
            assert str(second.addresses[0][1]) in port.states[-1][2]
            second.set(np.array([1], np.uint32), np.array([3.0]))
            await until(lambda: port.value[1] == 3.0 and port.quality[1] == 0, "its values")
            await first.start()
            await second.stop()
            await until(lambda: len(port.states) == 6, "and back")
            assert str(first.addresses[0][1]) in port.states[-1][2]
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await first.stop()
            await second.stop()

    asyncio.run(scene())


def test_silence_to_a_command_is_lost_and_a_second_one_meanwhile_is_refused() -> None:
    async def scene() -> None:
        async with at_work(rtu(MAP, apci=QUICK, command_timeout_s=0.3)) as at:
            await until(lambda: at.port.states_of("rtu1")[-1:] == [DeviceState.ONLINE], "online")
            at.simulator.faults.deaf = True
            first = asyncio.create_task(at.driver.write(Write(row=2, value=1.0)))
            await asyncio.sleep(0)
            with pytest.raises(WriteRefused, match="under way"):
                await at.driver.write(Write(row=2, value=0.0))
            with pytest.raises(WriteLost, match=r"no confirmation of the command within 0\.3 s"):
                await first

    asyncio.run(scene())


def test_a_cancelled_write_takes_its_select_back() -> None:
    async def scene() -> None:
        async with at_work(rtu(MAP, apci=QUICK)) as at:
            await until(lambda: at.port.states_of("rtu1")[-1:] == [DeviceState.ONLINE], "online")
            at.simulator.faults.deaf = True
            write = asyncio.create_task(at.driver.write(Write(row=3, value=1.0)))
            await asyncio.sleep(0.05)
            write.cancel()
            with pytest.raises(asyncio.CancelledError):
                await write
            at.simulator.faults.deaf = False
            await at.driver.write(Write(row=3, value=2.0))
            assert at.simulator.written() == [(3, 2.0)]

    asyncio.run(scene())


def test_the_end_is_orderly() -> None:
    async def scene() -> None:
        async with at_work(rtu(MAP, apci=QUICK)) as at:
            await until(lambda: at.port.states_of("rtu1")[-1:] == [DeviceState.ONLINE], "online")
        (group,) = [at.simulator.group]
        assert group.active is None and group.station.queue.waiting == 0

    asyncio.run(scene())


def test_no_rtu_at_all_is_said_in_words() -> None:
    async def scene() -> None:
        (port_number,) = free_ports(1)
        port = RecordingPort(4)
        driver = RtuDriver(at(rtu(MAP, apci=QUICK), ("127.0.0.1", port_number)), port)
        task = asyncio.create_task(driver.run())
        await until(lambda: port.states_of("rtu1")[-1:] == [DeviceState.LOST], "lost")
        assert f"127.0.0.1:{port_number}" in port.states[-1][2]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())


def test_what_came_is_acknowledged_only_behind_its_publication() -> None:
    """The core has it before the RTU may forget it: publication happens within the turn that takes the octets."""

    async def scene() -> None:
        async with at_work(rtu(MAP, apci={**QUICK, "w": 1})) as at:
            await until(lambda: at.count("interrogations") >= 2, "the first interrogation")
            seen: list[int] = []
            publish = at.port.publish

            def watched(*arguments: object) -> None:
                seen.append(at.simulator.station.queue.in_flight)
                publish(*arguments)  # type: ignore[arg-type]

            at.port.publish = watched  # type: ignore[method-assign,assignment]
            at.simulator.tell(np.array([1], np.uint32), np.array([9.0]), np.zeros(1, np.uint32), time.time_ns())
            await until(lambda: bool(seen), "the event")
            assert seen == [1]

    asyncio.run(scene())
