"""yadnp3 (opendnp3), an independent implementation in a process of its own, is the master of our outstation."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts import Command, OnOutcome, Outcome, Reason, Stage
from gateway.points import PointCatalogue, Quality
from protocols.dnp3.plan import Mode, ServerPlan, UnsolicitedPlan
from protocols.dnp3.pointtypes import PointType as T
from tests.contract.server_suite import until
from tests.kit.dnp3kit import NOON, POINTS, Row, Site, columns, master, plan, site

pytestmark = pytest.mark.skipif(importlib.util.find_spec("opendnp3") is None, reason="yadnp3 is not installed here")

PEER = Path(__file__).parents[1] / "peers" / "yadnp3_master.py"
NOON_MS = NOON // 1_000_000

Facts = dict[str, Any]


class Yadnp3:
    """The subprocess: `order` it, and wait for what it `says`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[Facts] = []
        self._at = 0
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, port: int, **options: object) -> Yadnp3:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, str(PEER), str(port), "10", "1", json.dumps(options))
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.told.append(json.loads(line))

    async def order(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()

    async def says(self, kind: str, **facts: object) -> Facts:
        """The next thing told of this kind and with these facts; what came before it is passed over."""
        found: list[int] = []

        def there() -> bool:
            for at in range(self._at, len(self.told)):
                told = self.told[at]
                if told["say"] == kind and all(told.get(name) == value for name, value in facts.items()):
                    found.append(at)
                    return True
            return False

        try:
            await until(there)
        except AssertionError:
            raise AssertionError(f"{kind} {facts} was never said; since then: {self.told[self._at :]}") from None
        self._at = found[0] + 1
        return self.told[found[0]]

    async def ready(self) -> None:
        """Its start is over: restart cleared, everything read, unsolicited responses enabled or refused."""
        await self.says("task", type="ENABLE_UNSOLICITED")

    def events(self) -> list[tuple[str, int, float, int, int]]:
        """(group and variation, index, value, flags, time in ms) of every event object so far."""
        return [
            (told["gv"], *item)
            for told in self.told
            if told["say"] == "values" and told["event"]
            for item in told["items"]
        ]

    async def end(self) -> None:
        if self._process.returncode is None:
            await self.order("quit")
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listening


def play(
    conversation: Callable[[Site, Yadnp3], Awaitable[None]],
    made: ServerPlan | None = None,
    points: PointCatalogue = POINTS,
    **options: object,
) -> None:
    async def run() -> None:
        async with site(made, points) as running:
            peer = await Yadnp3.start(running.server.bound_port, **options)
            try:
                await conversation(running, peer)
            finally:
                await peer.end()

    asyncio.run(run())


def test_integrity_and_event_polls() -> None:
    async def talk(site: Site, rldc: Yadnp3) -> None:
        everything = {}
        for told in [await rldc.says("values") for _ in range(8)]:
            everything[told["gv"]] = everything.get(told["gv"], []) + told["items"]
        assert everything == {
            "Group1Var2": [[0, True, 0x81, 0]],
            "Group3Var2": [[0, 3, 0xC1, 0]],
            "Group10Var2": [[0, True, 0x81, 0], [5, True, 0x81, 0]],
            "Group20Var1": [[0, 4, 1, 0]],
            "Group21Var5": [[0, 0, 2, 0]],
            "Group30Var5": [[0, 0.0, 1, 0], [1, 1.0, 1, 0]],
            "Group40Var3": [[0, 5.0, 1, 0], [1, 5.0, 1, 0]],
        }
        await rldc.ready()
        site.port.change([(0, 42.5, 0, NOON), (2, 0.0, int(Quality.COMM_LOST), NOON), (4, 99.0, 0, NOON)])
        await rldc.order("events")
        await rldc.says("end")
        await until(lambda: len(rldc.events()) == 3)
        assert rldc.events() == [
            ("Group32Var7", 0, 42.5, 1, NOON_MS),
            ("Group2Var2", 0, False, 4, NOON_MS),
            ("Group22Var5", 0, 99, 1, NOON_MS),
        ]
        await until(lambda: site.port.confirmed.get("main") == 3)
        assert (await rldc.says("iin"))["value"] == 0

    play(talk)


def test_unsolicited_responses_in_order_and_none_lost_over_a_cut() -> None:
    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.ready()
        for number in range(300):
            site.port.change([(1, float(number + 10), 0, NOON + number * 1_000_000)])
            if number == 150:
                await until(lambda: len(rldc.events()) > 0)
                await rldc.order("disable")
                await rldc.says("state", state="CLOSED")
                await rldc.order("enable")
        await until(lambda: len(site.main.outstation.store) == 0)
        # The last of what the master confirmed may still be on its way out of its process.
        await until(lambda: len({time for _, _, _, _, time in rldc.events()}) == 300)
        times = [time for _, _, _, _, time in rldc.events()]
        first = {time: times.index(time) for time in times}
        assert sorted(first, key=lambda time: first[time]) == [NOON_MS + number for number in range(300)]
        # What was sent but not confirmed when the link was cut may come again, in order; nothing else.
        assert len(times) - len(first) <= 156

    play(talk, plan(master(unsolicited=UnsolicitedPlan())))


def slowly(reason: Reason | None = None) -> Callable[[Command, OnOutcome], None]:
    """A device that takes its time."""

    def script(command: Command, tell: OnOutcome) -> None:
        loop = asyncio.get_running_loop()
        stage = Stage.COMPLETED if reason is None else Stage.FAILED
        loop.call_later(0.02, tell, Outcome(id=command.id, stage=Stage.ACCEPTED))
        loop.call_later(0.05, tell, Outcome(id=command.id, stage=stage, reason=reason or Reason.OK))

    return script


@pytest.mark.parametrize(
    ("order", "row", "value"),
    [
        ("direct 0 latch_on", 6, 1.0),
        ("direct 0 latch_off", 6, 0.0),
        ("direct 5 pulse_on", 10, 1.0),
        ("direct 0 close", 6, 1.0),
        ("direct 0 trip", 6, 0.0),
        ("select 0 latch_on", 6, 1.0),
        ("select 0 f32 12.5", 5, 12.5),
        ("direct 1 i16 -7", 5, -7.0),
        ("direct 1 i32 70000", 5, 70_000.0),
        ("direct 1 f64 0.125", 5, 0.125),
    ],
)
def test_commands_reach_the_broker_and_their_results_the_master(order: str, row: int, value: float) -> None:
    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.ready()
        site.port.commands.script = slowly()
        await rldc.order(order)
        told = await rldc.says("command", order=order)
        assert told["points"] == [[int(order.split()[1]), "SUCCESS", "SUCCESS"]]
        assert [(command.row, command.value) for command in site.port.commands.received] == [(row, value)]

    play(talk)


def test_what_the_device_refuses_the_master_hears() -> None:
    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.ready()
        for reason, status in ((Reason.DEVICE_REFUSED, "HARDWARE_ERROR"), (Reason.LOCAL, "LOCAL")):
            site.port.commands.script = slowly(reason)
            await rldc.order("direct 0 latch_on")
            assert (await rldc.says("command"))["points"][0][2] == status
        await rldc.order("direct 0 f32 1")  # must be selected
        assert (await rldc.says("command"))["points"][0][2] == "NO_SELECT"
        await rldc.order("direct 77 latch_on")
        assert (await rldc.says("command"))["points"][0][2] == "NOT_SUPPORTED"

    play(talk)


def test_freeze_restart_assign_class_and_deadbands() -> None:
    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.ready()
        site.port.set(4, 1_234.0, NOON)
        await rldc.order("freeze ImmediateFreeze 20/0")
        assert (await rldc.says("task", type="USER_TASK"))["result"] == "SUCCESS"
        await rldc.order("poll 21/1")
        assert (await rldc.says("values", gv="Group21Var1"))["items"] == [[0, 1_234, 1, 0]]
        await rldc.order("freeze FreezeAndClear 20/0")
        await rldc.says("task", type="USER_TASK")
        await rldc.order("poll 20/0/0/0")
        assert (await rldc.says("values", gv="Group20Var1"))["items"] == [[0, 0, 1, 0]]
        await rldc.order("function ASSIGN_CLASS 60/4 30/0")
        assert (await rldc.says("task", type="USER_TASK"))["result"] == "SUCCESS"
        await until(
            lambda: (
                site.main.outstation.database.event_class[site.main.outstation.database.all(T.AI)].tolist() == [3, 3]
            )
        )
        await rldc.order("deadband 0 25")
        await rldc.says("deadband")
        await until(lambda: site.main.outstation.store.deadband.limits.max() == 25.0)
        await rldc.order("restart COLD")
        assert (await rldc.says("restart"))["summary"] == "SUCCESS"
        # With the next answer it sees IIN1.7 again, clears it, and begins anew.
        await rldc.order("events")
        await rldc.says("task", type="CLEAR_RESTART", result="SUCCESS")
        await rldc.says("task", type="STARTUP_INTEGRITY_POLL", result="SUCCESS")
        assert not site.main.outstation.restarted

    play(talk, plan(master(parameters={"restart": True})))


@pytest.mark.parametrize("way", ["LAN", "NonLAN"])
def test_the_time_is_synchronised_when_asked_for(way: str) -> None:
    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.says("task", type=f"{'LAN' if way == 'LAN' else 'NON_LAN'}_TIME_SYNC", result="SUCCESS")
        await rldc.order("poll 50/1/+1")
        await rldc.says("iin", value=0)
        assert len(site.port.log.said("time written by the master")) == 1
        assert abs(int(site.port.log.said("time written by the master")[0]["ahead_ms"])) < 1_000

    play(talk, plan(master(parameters={"need_time_s": 3_600.0})), time_sync=way)


def test_every_variation_says_the_same_value() -> None:
    static = {1: (1, 2), 3: (1, 2), 10: (1, 2), 20: (1, 2, 5, 6), 30: (1, 2, 3, 4, 5, 6), 40: (1, 2, 3, 4)}
    values = {1: True, 3: 3, 10: True, 20: 4, 30: 7, 40: 5}

    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.ready()
        site.port.set(0, 7.0, NOON)
        for group, variations in static.items():
            for variation in variations:
                await rldc.order(f"poll {group}/{variation}/0/0")
                told = await rldc.says("values", gv=f"Group{group}Var{variation}")
                assert told["items"][0][1] == values[group]

    play(talk)


def test_every_event_variation_says_the_same_value_and_time() -> None:
    kinds = {2: (T.BI, 2, 3), 4: (T.DBI, 3, 3), 11: (T.BO, 6, 2), 22: (T.CTR, 4, 4), 32: (T.AI, 0, 8), 42: (T.AO, 5, 8)}
    variations = {
        group: (1, 2, 5, 6) if group == 22 else tuple(range(1, count + 1)) for group, (_, _, count) in kinds.items()
    }
    timed = {2: (2, 3), 4: (2, 3), 11: (2,), 22: (5, 6), 32: (3, 4, 7, 8), 42: (3, 4, 7, 8)}
    rows = [
        Row(row=kinds[group][1], type=kinds[group][0], index=variation, event_class=1, event_var=variation)
        for group in kinds
        for variation in variations[group]
    ]

    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.ready()
        changed = [(2, 0.0), (3, 1.0), (6, 0.0), (4, 77.0), (0, -12.0), (5, 33.0)]
        expected = {2: False, 4: 1, 11: False, 22: 77, 32: -12, 42: 33}
        site.port.change([(row, value, 0, NOON) for row, value in changed])
        await rldc.order("events")
        await until(lambda: len(rldc.events()) == len(rows))
        for gv, index, value, flags, time in rldc.events():
            group, variation = (int(part) for part in gv.removeprefix("Group").split("Var"))
            assert (variation, value, flags & 0x3F) == (index, expected[group], 1), gv
            assert time == (NOON_MS if variation in timed[group] else 0), gv

    play(talk, plan(master(bindings=columns(rows))))


def test_device_attributes_are_understood() -> None:
    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.ready()
        await rldc.order("poll 0/254")
        told = await rldc.says("attribute", variation=252)
        assert told["set"] == 0

    play(talk, plan(master(parameters={"attributes": ((252, "GridGate"),)})))


def test_a_set_point_that_must_be_selected_is_operated_once_each_time() -> None:
    rows = [Row(row=5, type=T.AO, index=0, mode=Mode.SELECT)]

    async def talk(site: Site, rldc: Yadnp3) -> None:
        await rldc.ready()
        site.port.commands.script = slowly()
        for number in range(10):
            await rldc.order(f"select 0 f32 {number}")
            assert (await rldc.says("command"))["points"][0][2] == "SUCCESS"
        assert [command.value for command in site.port.commands.received] == [float(number) for number in range(10)]

    play(talk, plan(master(bindings=columns(rows))))
