"""The whole demo plant: the grid's frequency falls, the plant answers, and three independent masters miss nothing."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("c104", reason="the independent IEC 104 master c104 is not installed")
pytest.importorskip("asyncua", reason="the OPC UA client asyncua is not installed")
if importlib.util.find_spec("opendnp3") is None:
    pytest.skip("the independent DNP3 master yadnp3 is not installed", allow_module_level=True)

from asyncua import Client

from gateway.cli.session import connected
from gateway.config import load_site
from tests.interop.test_yadnp3_master import Yadnp3
from tests.kit.gateway import C104Master, DemoSite
from tests.kit.ports import free_ports

SERVER = """
  - {{name: ua, protocol: opcua, listen: "opc.tcp://127.0.0.1:{port}", allow_none: true, anonymous: true}}
"""
REACTIVE, POWER, SETPOINT = "bess1/pcs/reactive_power", "bess1/pcs/active_power", "bess1/pcs/power_setpoint"
REACTIVE_IOA, POWER_IOA, POWER_INDEX, REACTIVE_INDEX = 4002, 4001, 0, 1
ANALOG_EVENT = "Group32Var7"
STEPS = [50.0 * number for number in range(1, 9)]
"""Of the reactive power, one after another as the gateway has read them: each is an event to every master."""


class Told:
    """What the OPC UA client has been told, by node."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {REACTIVE: [], POWER: [], "poi/pmu/frequency": []}

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values[node.nodeid.Identifier].append(value)


async def until(condition: Callable[[], Any], what: str, timeout_s: float = 90.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited in vain for: {what}"
        await asyncio.sleep(0.05)


def steps_in(values: list[float]) -> list[float]:
    """The steps among all that was told. A change of quality (a busy machine) tells a value a second time."""
    return [value for value, _ in itertools.groupby(value for value in values if value in STEPS)]


@pytest.mark.timeout(400)
def test_the_plant_answers_the_grid_while_three_masters_are_told_of_everything(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with DemoSite(tmp_path, whole=True) as demo:
        demo.site.write_text(demo.site.read_text().replace("\nservers:", "\nservers:" + SERVER.format(port=port), 1))
        demo.start_simulator()
        demo.order("frequency 50")
        demo.order(f"set {REACTIVE} 0")
        demo.start()
        asyncio.run(_watched(demo, port))


async def _watched(demo: DemoSite, port: int) -> None:
    plan = load_site(demo.site)
    plan.state_dir = demo.state_dir
    rows, told = plan.catalogue.rows, Told()
    async with connected(plan, "test") as feed, Client(f"opc.tcp://127.0.0.1:{port}", timeout=30) as ua:

        def value(name: str) -> float:
            good = feed.mirror.quality[rows[name]] == 0
            return float(feed.mirror.value[rows[name]]) if good else float("nan")

        await until(lambda: value("system/control/bess1/droop_state") == 1, "the response in its dead band")
        await until(lambda: value("system/control/bess1/frequency_source") == 1, "the PMU to be believed")
        subscription = await ua.create_subscription(100, told)
        await subscription.subscribe_data_change([ua.get_node(f"ns=2;s={name}") for name in told.values], queuesize=100)
        with C104Master(demo.port) as sldc:
            rldc = await Yadnp3.start(demo.dnp3_port)
            try:
                await rldc.ready()
                await until(sldc.is_open, "the link of the 104 master")
                await _story(demo, value, sldc, rldc, told)
                await ua.check_connection()
                assert sldc.is_open(), "the link is as it was"
                assert sldc.states.count("OPEN") == 1
                assert [said["state"] for said in rldc.told if said["say"] == "state"].count("OPEN") == 1
            finally:
                await rldc.end()


async def _story(demo: DemoSite, value: Callable[[str], float], sldc: C104Master, rldc: Yadnp3, told: Told) -> None:
    before, written = value(POWER), value(SETPOINT)
    for number, step in enumerate(STEPS):
        demo.order(f"set {REACTIVE} {step:g}")
        await until(lambda step=step: value(REACTIVE) == step, f"{step:g} kvar to be read")
        if number == 2:
            demo.order("frequency 49.5")
    await until(lambda: value(SETPOINT) - written > 150, "the set-point write")
    await until(lambda: abs(value(POWER) - before - 188) < 25, "the plant to follow")

    def by_104(ioa: int) -> list[float]:
        return [thing["fields"][0] for thing in sldc.objects(ioa, types=(36,)) if thing["cot"] == 3]

    def by_dnp3(index: int) -> list[float]:
        return [item[2] for item in rldc.events() if (item[0], item[1]) == (ANALOG_EVENT, index)]

    heard: dict[str, tuple[Callable[[], list[float]], Callable[[], list[float]]]] = {
        "104": (lambda: by_104(REACTIVE_IOA), lambda: by_104(POWER_IOA)),
        "DNP3": (lambda: by_dnp3(REACTIVE_INDEX), lambda: by_dnp3(POWER_INDEX)),
        "OPC UA": (lambda: told.values[REACTIVE], lambda: told.values[POWER]),
    }
    for master, (reactive, power) in heard.items():
        await until(lambda reactive=reactive: len(steps_in(reactive())) >= len(STEPS), f"every event at {master}")
        assert steps_in(reactive()) == STEPS, f"{master}: every one, in order"
        await until(lambda power=power: abs(power()[-1] - before - 188) < 30, f"the power at {master}")
    assert min(len(sldc.frames), len(rldc.events())) > 30, "and much else beside"
