"""c104, an independent implementation in a process of its own, is the master of our controlled station."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from typing import Any

import numpy as np
import pytest

from gateway.contracts import Command, OnOutcome, Outcome, Stage
from gateway.points import Kind, Quality
from protocols.iec104.elements import BY_NAME
from protocols.iec104.plan import BindingColumns, MasterPlan, Mode, ServerPlan
from protocols.iec104.server import Iec104Server
from tests.contract.server_suite import FakePort, catalogue, until

pytestmark = pytest.mark.skipif(importlib.util.find_spec("c104") is None, reason="c104 is not installed here")

NOON = 1_700_000_000_123_000_000

# Prints one JSON line per step; reads the value to expect and the next step from its standard input.
MASTER = """
import json, sys, time, c104

def tell(**facts):
    print(json.dumps(facts), flush=True)

def wait(condition, timeout=60.0):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain: {connection.state}, {len(points)} points")
        time.sleep(0.01)

client = c104.Client(tick_rate_ms=50)
connection = client.add_connection(ip="127.0.0.1", port=int(sys.argv[1]), init=c104.Init.NONE)
station = connection.add_station(common_address=1)
# c104 knows one type per ioa: the point whose event is waited for is known by its tagged type, the others untagged.
event = station.add_point(io_address=3000, type=c104.Type.M_ME_TF_1)
points = {3000: event}

def on_point(client: c104.Client, station: c104.Station, io_address: int, point_type: c104.Type) -> None:
    points[io_address] = station.add_point(io_address=io_address, type=point_type)

tests = []

def on_raw(connection: c104.Connection, data: bytes) -> None:
    if data[6:7] == b"\\x68":
        tests.append(data[6:].hex())

client.on_new_point(callable=on_point)
connection.on_receive_raw(callable=on_raw)
client.start()
wait(lambda: connection.is_connected)

def opened():
    # Now and then c104 does not send STARTDT by itself.
    return connection.state == c104.ConnectionState.OPEN or (connection.unmute() and False)

wait(opened)
# The first interrogation makes the points known, the second fills those that were new.
done = connection.interrogation(common_address=1)
wait(lambda: len(points) >= int(sys.argv[2]))
done = connection.interrogation(common_address=1) and done
time.sleep(0.3)
tell(step="interrogated", done=done, count=len(points),
     points={ioa: [float(p.value), str(p.quality)] for ioa, p in list(points.items())[:4]},
     total=sum(float(p.value) for p in points.values()))

expected = json.loads(sys.stdin.readline())
tell(step="listening")
wait(lambda: abs(float(event.value) - expected["value"]) < 1e-3)
tell(step="event", value=float(event.value), recorded_at=event.recorded_at.timestamp())

setpoint = station.add_point(io_address=7001, type=c104.Type.C_SE_NC_1)
setpoint.value = 321.5
tell(step="setpoint", done=setpoint.transmit(cause=c104.Cot.ACTIVATION))
selected = station.add_point(io_address=7002, type=c104.Type.C_SE_NC_1)
selected.command_mode = c104.CommandMode.SELECT_AND_EXECUTE
selected.value = -12.25
tell(step="select and execute", done=selected.transmit(cause=c104.Cot.ACTIVATION))
tell(step="clock", done=connection.clock_sync(common_address=1))
# c104 does not take the answer to its own test command for one, so it is read from the wire.
connection.test(common_address=1, with_time=False, wait_for_response=False)
wait(lambda: tests)
tell(step="test", answer=tests[0])
client.stop()
"""


def columns(rows: list[tuple[int, int, str, int]]) -> BindingColumns:
    """From (row, ioa, type, mode), at common address 1."""
    types = [BY_NAME[row[2]] for row in rows]
    count = len(rows)
    return BindingColumns(
        row=np.array([row[0] for row in rows], np.uint32),
        ca=np.ones(count, np.uint16),
        ioa=np.array([row[1] for row in rows], np.uint32),
        event_type=np.array([known.id for known in types], np.uint8),
        static_type=np.array([known.id if known.control else known.untimed for known in types], np.uint8),
        group=np.zeros(count, np.uint8),
        limit=np.full(count, np.nan),
        cyclic_s=np.zeros(count, np.float32),
        mode=np.array([row[3] for row in rows], np.uint8),
    )


def like_a_device(command: Command, tell: OnOutcome) -> None:
    """Takes its time. c104 misses an answer that comes before its own call has begun to wait."""
    loop = asyncio.get_running_loop()
    loop.call_later(0.05, tell, Outcome(id=command.id, stage=Stage.ACCEPTED))
    loop.call_later(0.1, tell, Outcome(id=command.id, stage=Stage.COMPLETED))


class Master:
    """The subprocess, step by step."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, port: int, points: int) -> Master:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-c", MASTER, str(port), str(points))
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))

    async def step(self, name: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(40):
            line = await self._process.stdout.readline()
        facts: dict[str, Any] = json.loads(line) if line else {"step": "gone"}
        assert facts["step"] == name, facts
        return facts

    async def say(self, **facts: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(facts).encode() + b"\n")
        await self._process.stdin.drain()

    async def end(self) -> None:
        if self._process.returncode is None:
            try:
                async with asyncio.timeout(5):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.communicate()


def test_c104_interrogates_hears_events_and_commands() -> None:
    analogs = 2_000
    kinds = [(f"a{i}", Kind.ANALOG) for i in range(analogs)]
    points = catalogue(*kinds, ("setpoint", Kind.SETPOINT), ("selected", Kind.SETPOINT))
    # c104 drops a whole ASDU when it knows one of its ioas by another type: the tagged point stands apart.
    rows = [(i, 4001 + i if i else 3000, "M_ME_NC_1" if i else "M_ME_TF_1", 0) for i in range(analogs)]
    rows += [(analogs, 7001, "C_SE_NC_1", Mode.DIRECT), (analogs + 1, 7002, "C_SE_NC_1", Mode.SELECT)]
    master_plan = MasterPlan(name="main", addresses=("127.0.0.1",), bindings=columns(rows), commands=True)

    async def talk() -> None:
        port = FakePort(points)
        for row in range(analogs):
            port.set(row, row / 4, NOON, int(Quality.NOT_TOPICAL) if row == 1 else 0)
        server = Iec104Server(ServerPlan(name="sldc", host="127.0.0.1", port=0, masters=[master_plan]), port)
        port.server = server
        port.commands.script = like_a_device
        await server.start()
        master = await Master.start(server.bound_port, analogs)
        try:
            facts = await master.step("interrogated")
            assert (facts["done"], facts["count"]) == (True, analogs)
            assert facts["total"] == sum(row / 4 for row in range(analogs))
            assert "NonTopical" in facts["points"]["4002"][1]
            await master.say(value=77.5)
            await master.step("listening")
            port.change([(0, 77.5, 0, NOON)])
            facts = await master.step("event")
            assert (facts["value"], facts["recorded_at"]) == (77.5, NOON // 1_000_000 / 1000)
            assert (await master.step("setpoint"))["done"]
            assert (await master.step("select and execute"))["done"]
            assert [(command.row, command.value) for command in port.commands.received] == [
                (analogs, 321.5),
                (analogs + 1, -12.25),
            ]
            assert (await master.step("clock"))["done"]
            assert (await master.step("test"))["answer"] == "680107000100" + "000000" + "cc55"
            await until(lambda: port.confirmed.get("main") == 1)
        finally:
            await master.end()
            await server.stop()
        assert port.log.said("connection closed") == []

    asyncio.run(talk())
