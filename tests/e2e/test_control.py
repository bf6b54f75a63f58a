"""Control on the demo plant, through real processes: a trip over kill -9 of the core, its reset, nothing that jumps."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli.session import command, connected, subject_command
from gateway.config import load_site
from gateway.contracts.command import Action, Outcome, Stage
from gateway.feed.client import FeedClient
from gateway.feed.ring import EPOCH_SHIFT
from tests.kit.gateway import START_S, DemoSite

SETPOINT, RUN = "bess1/pcs/power_setpoint", "bess1/pcs/run"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoSite]:
    with DemoSite(tmp_path, dnp3=False) as site:
        site.start_simulator()
        site.start()
        yield site


class Person:
    """Someone at the gateway with a live view of its points."""

    def __init__(self, demo: DemoSite, client: FeedClient, rows: dict[str, int]) -> None:
        self._demo, self._client, self._rows = demo, client, rows

    def value(self, name: str) -> float:
        row = self._rows[name]
        return float(self._client.mirror.value[row]) if self._client.mirror.quality[row] == 0 else float("nan")

    @property
    def core(self) -> int:
        """Which core the view is of: each numbers its changes from its own epoch on."""
        return self._client.seq >> EPOCH_SHIFT

    async def sees(self, name: str, expected: float, tolerance: float = 0.0) -> None:
        await self.waits(
            lambda: abs(self.value(name) - expected) <= tolerance,
            lambda: f"{name}, which is {self.value(name):g}, to be {expected:g}",
        )

    async def waits(self, condition: Callable[[], bool], what: Callable[[], str]) -> None:
        end = time.monotonic() + START_S  # it may take a new core to show it
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what()}"
            await asyncio.sleep(0.05)

    async def orders(self, name: str, value: float) -> Outcome:
        return await command(self._client, self._rows[name], float(value), Action.EXECUTE, "asha")

    async def acts(self, action: Action, subject: str = "", text: str = "") -> Outcome:
        return await subject_command(self._client, action, subject, text, 0.0, "asha")


def test_a_trip_survives_kill_9_and_a_reset_starts_nothing(demo: DemoSite) -> None:
    async def story() -> None:
        plan = load_site(demo.site)
        plan.state_dir = demo.state_dir
        rows = dict(plan.catalogue.rows)
        async with connected(plan, "test") as client:
            asha = Person(demo, client, rows)
            await asha.sees("bess1/pcs/running", 1)
            assert (await asha.orders(SETPOINT, 350)).stage is Stage.COMPLETED
            demo.kill_child("core")
            await asha.sees("system/control/bess1/source", 8)  # nobody asks: the device keeps what it has
            await asha.sees(SETPOINT, 350, 0.2)

            demo.order("estop on")
            await asha.sees("system/interlock/estop/latched", 1)
            await asha.sees("system/interlock/estop/first_out", 1)
            await asha.sees(SETPOINT, 0)
            assert "blocked by estop" in (await asha.orders(SETPOINT, 300)).text
            before = asha.core
            demo.kill_child("core")
            demo.order("estop off")
            await asha.waits(lambda: asha.core > before, lambda: "a new core")
            await asha.sees("system/interlock/estop/latched", 1)
            await asha.sees("bess1/pcs/estop", 0)
            assert "Emergency stop" in (await asha.orders(RUN, 1)).text
            assert "acknowledge it first" in (await asha.acts(Action.RESET, "estop")).text
            acknowledged = await asha.acts(Action.ACKNOWLEDGE, "system/interlock/estop/tripped/alarm")
            assert acknowledged.stage is Stage.COMPLETED, acknowledged
            assert (await asha.acts(Action.RESET, "estop")).stage is Stage.COMPLETED
            await asha.sees("system/control/bess1/tripped", 0)
            assert asha.value("bess1/pcs/running") == 0
            assert (await asha.orders(RUN, 1)).stage is Stage.COMPLETED

            assert (await asha.acts(Action.STOP_ALL, text="smoke in the container")).stage is Stage.COMPLETED
            await asha.sees("bess1/pcs/running", 0)

    asyncio.run(story())
    states = {
        state["name"]: state
        for line in demo.cli("interlocks", "--json").stdout.splitlines()
        if (state := json.loads(line))
    }
    assert states["stop_all"]["latched"]
    assert not states["estop"]["latched"]
    assert demo.cli("interlocks", "reset", "stop_all").returncode == 0
    audit = "".join(path.read_text() for path in (demo.state_dir / "audit").glob("*.jsonl"))
    assert "smoke in the container" in audit


def test_a_core_that_hangs_lets_the_device_fall_back_and_nothing_jumps_on_its_return(demo: DemoSite) -> None:
    async def story() -> None:
        plan = load_site(demo.site)
        plan.state_dir = demo.state_dir
        rows = dict(plan.catalogue.rows)
        async with connected(plan, "test") as client:
            asha = Person(demo, client, rows)
            await asha.sees("bess1/pcs/running", 1)
            await asha.sees("bess1/pcs/watchdog_timeout", 10)  # the matrix has armed it
            assert (await asha.orders("bess1/pcs/watchdog_timeout", 2)).stage is Stage.COMPLETED
            assert (await asha.orders(SETPOINT, 350)).stage is Stage.COMPLETED
            # The PCS misses only what it has heard.
            await asha.waits(lambda: asha.value("bess1/pcs/heartbeat") > 0, lambda: "the first heartbeat")
            os.kill(demo.child("core"), signal.SIGSTOP)  # the supervisor ends it and starts another
            await asha.sees(SETPOINT, 0)  # the PCS has dropped it for want of a heartbeat
            await asha.sees("system/control/bess1/source", 8)
            await asha.sees("bess1/pcs/active_power", 0, 1)
            await asha.sees("bess1/pcs/watchdog", 0)  # the heartbeat is back

    asyncio.run(story())
