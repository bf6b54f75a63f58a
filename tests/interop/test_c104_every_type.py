"""c104, an independent master in its own process: every type of ours that it knows, groups, counters with freeze."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from typing import Any

import pytest

from gateway.points import Kind
from protocols.iec104.elements import TYPES, Tag
from protocols.iec104.plan import MasterPlan, ServerPlan
from protocols.iec104.server import Iec104Server
from tests.conformance.iec104.conversation import BOTH, At, columns
from tests.contract.server_suite import FakePort, catalogue, until
from tests.interop.test_c104_master import like_a_device

pytestmark = pytest.mark.skipif(importlib.util.find_spec("c104") is None, reason="c104 is not installed here")

NOON = 1_700_000_000_123_000_000
KINDS = {1: Kind.BINARY, 3: Kind.DOUBLE, 15: Kind.COUNTER}
VALUE = {1: 1.0, 3: 2.0, 5: -3.0, 7: 42.0, 9: 500.0, 11: -77.0, 13: 1.25, 15: 99.0, 21: 250.0}
"""What each family's point becomes, in engineering units."""
MONITORED = [row for row in TYPES.values() if row.element.encode is not None and row.tag is not Tag.CP24]
"""c104 does not know the types with CP24 tags."""
COMMANDS = [row for row in TYPES.values() if 45 <= row.id <= 51]
LINES = [
    *(At(ioa=100 + row.id, type=row.name, kind=KINDS.get(row.untimed, Kind.ANALOG)) for row in MONITORED),
    *(
        At(
            ioa=100 + row.id,
            type=row.name,
            kind=Kind.SETPOINT if row.id > 47 else Kind.CONTROL,
            mode=1 if row.id == 51 else BOTH,
        )
        for row in COMMANDS
    ),
]

MASTER = """
import json, sys, time, c104

def tell(**facts):
    print(json.dumps(facts), flush=True)

def wait(condition, timeout=15.0):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True

port, names = int(sys.argv[1]), json.loads(sys.argv[2])
client = c104.Client(tick_rate_ms=50, command_timeout_ms=2000)
connection = client.add_connection(ip="127.0.0.1", port=port, init=c104.Init.NONE)
station = connection.add_station(common_address=1)
heard = {}

def on_receive(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    heard.setdefault(point.io_address, []).append([message.type.name, message.cot.name])
    return c104.ResponseState.SUCCESS

def number(value):
    if isinstance(value, c104.Byte32):
        return None  # it cannot be read
    return float(value) if hasattr(value, "__float__") else float(int(value))

points = {}
for ioa, name in names.items():
    if name.startswith("M_"):
        point = points[name] = station.add_point(io_address=int(ioa), type=getattr(c104.Type, name))
        point.on_receive(callable=on_receive)
client.start()
wait(lambda: connection.is_connected)
wait(lambda: connection.state == c104.ConnectionState.OPEN or (connection.unmute() and False))
tell(step="open")
sys.stdin.readline()
wait(lambda: len(heard) == len(points))
tell(step="events", heard={points[n].type.name: heard.get(points[n].io_address) for n in points},
     values={n: number(p.value) for n, p in points.items()})
def asked(ask):
    # Now and then c104 misses an answer that comes before its own call has begun to wait, and waits in vain.
    return any(ask() for _ in range(3))

tell(step="groups", done=[asked(lambda: connection.interrogation(
    common_address=1, qualifier=getattr(c104.Qoi, f"GROUP_{n}"))) for n in (1, 2, 16)])
frz = c104.Frz
freezes = [frz.FREEZE_WITHOUT_RESET, frz.READ, frz.FREEZE_WITH_RESET, frz.COUNTER_RESET, frz.READ]
tell(step="counters", done=[asked(lambda: connection.counter_interrogation(common_address=1, freeze=each))
                            for each in freezes],
     reading=number(points["M_IT_NA_1"].value))
done = {}
for mode in (c104.CommandMode.DIRECT, c104.CommandMode.SELECT_AND_EXECUTE):
    for ioa, name in names.items():
        if name.startswith("C_") and not (name == "C_BO_NA_1" and mode == c104.CommandMode.SELECT_AND_EXECUTE):
            point = station.get_point(io_address=int(ioa)) or station.add_point(
                io_address=int(ioa), type=getattr(c104.Type, name))
            point.command_mode = mode
            point.value = {
                "C_SC_NA_1": lambda: True,
                "C_DC_NA_1": lambda: c104.Double.ON,
                "C_RC_NA_1": lambda: c104.Step.HIGHER,
                "C_SE_NA_1": lambda: c104.NormalizedFloat(0.5),
                "C_SE_NB_1": lambda: c104.Int16(-7),
                "C_SE_NC_1": lambda: 96.0,
                "C_BO_NA_1": lambda: c104.Byte32(77),
            }[name]()  # a bit string leaves c104 as 0, whatever it was
            done[f"{name} {mode.name}"] = point.transmit(cause=c104.Cot.ACTIVATION)
tell(step="commands", done=done)
client.stop()
"""


async def talk() -> None:
    port = FakePort(catalogue(*((f"p{i}", line.kind, line.low, line.high) for i, line in enumerate(LINES))))
    for row in range(len(LINES)):
        port.set(row, 0.0, NOON)
    plan = MasterPlan(name="main", addresses=("127.0.0.1",), bindings=columns(LINES), commands=True)
    server = Iec104Server(ServerPlan(name="sldc", host="127.0.0.1", port=0, masters=[plan]), port)
    port.server = server
    port.commands.script = like_a_device
    await server.start()
    names = json.dumps({line.ioa: line.type for line in LINES})
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MASTER, str(server.bound_port), names, stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    assert process.stdin is not None

    async def step(name: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            line = await process.stdout.readline()  # type: ignore[union-attr]
        facts: dict[str, Any] = json.loads(line) if line else {"step": "gone"}
        assert facts["step"] == name, facts
        return facts

    try:
        await step("open")
        await until(lambda: server.groups["main"].active is not None)
        for row, line in enumerate(LINES):
            if line.type.startswith("M_"):
                untimed = next(known.untimed for known in MONITORED if known.name == line.type)
                port.change([(row, VALUE[untimed], 0, NOON)])
        process.stdin.write(b"go\n")
        await process.stdin.drain()
        check_events(await step("events"))
        assert (await step("groups"))["done"] == [True] * 3
        counters = await step("counters")
        assert counters["done"] == [True] * 5
        done = (await step("commands"))["done"]
        assert done == dict.fromkeys(done, True)
        check_commands([command.value for command in port.commands.received])
    finally:
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
        await process.communicate()
        await server.stop()
    assert port.log.said("connection closed") == []


def check_events(facts: dict[str, Any]) -> None:
    for row in MONITORED:
        assert [row.name, "SPONTANEOUS"] in (facts["heard"][row.name] or []), row.name
        value = VALUE[row.untimed]
        expected = {9: value / 1000, 21: value / 1000}.get(row.untimed, value)  # c104 shows the normalised part
        if row.untimed != 7:  # c104 cannot say what is in a bit string
            assert facts["values"][row.name] == pytest.approx(expected, abs=1e-4), row.name


def check_commands(values: list[float]) -> None:
    expected = [1.0, 1.0, 1.0, 500.0, -7.0, 96.0, 0.0, 1.0, 1.0, 1.0, 500.0, -7.0, 96.0]
    assert values == pytest.approx(expected, abs=0.05)


def test_c104_takes_every_type_groups_and_counters() -> None:
    asyncio.run(talk())
