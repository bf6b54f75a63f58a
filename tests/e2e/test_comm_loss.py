"""The loss of each device of the demo plant, and where it leaves the plant; all times are the gateway's own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.cli.session import connected
from gateway.config import load_site
from gateway.feed.client import FeedClient
from gateway.points.quality import UNUSABLE
from tests.kit.gateway import DemoSite

_S = 1e9
_LATE_S = 8.0
"""How late a machine that does much else may be; the figures are the bench's matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """`lost`: devices that go. `begins`: the point whose change is the beginning, `then` what follows after `after_s`.

    `early_s`: how much earlier its points may be too old than the device is given up; what follows counts from there.
    `safe`: points and what they are in the end; `back`: and when the devices have returned.
    """

    lost: tuple[str, ...]
    measured: tuple[str, ...]
    begins: tuple[str, float]
    then: tuple[str, float]
    after_s: float
    early_s: float = 0.1
    safe: dict[str, float] = field(default_factory=dict)
    for_s: float = 0.0
    """It stays lost for at least so long: what it does meanwhile nobody sees."""
    back: dict[str, float] = field(default_factory=dict)


UNIT, FREQUENCY_LOST = "system/control/bess1", "system/control/bess1/frequency_lost"


def online(device: str) -> str:
    return f"system/device/{device}/online"


LOSSES = (
    Loss(  # the inverter is nobody's input: the battery goes on, and what is calculated of it is not known
        lost=("pv1",),
        measured=("pv1/active_power", "site/auxiliary_load"),
        begins=(online("pv1"), 0),
        then=(online("pv1"), 0),
        after_s=0,
        safe={f"{UNIT}/tripped": 0, f"{UNIT}/source": 8},
    ),
    Loss(  # the meter is the second source of frequency: the first one goes on
        lost=("meter",),
        measured=("poi/frequency", "poi/power"),
        begins=(online("meter"), 0),
        then=(online("meter"), 0),
        after_s=0,
        safe={f"{UNIT}/frequency_source": 1, f"{UNIT}/droop_state": 1, FREQUENCY_LOST: 0},
    ),
    Loss(  # the meter takes over from the PMU at once, and gives back after `return_s`
        lost=("pmu1",),
        measured=("poi/pmu/frequency",),
        begins=(online("pmu1"), 0),
        then=(f"{UNIT}/frequency_source", 2),
        after_s=0,
        early_s=5.0,
        safe={f"{UNIT}/droop_state": 1, FREQUENCY_LOST: 0},
        back={f"{UNIT}/frequency_source": 1},
    ),
    Loss(  # without any frequency the answer is held for `hold_s`, then fades
        lost=("pmu1", "meter"),
        measured=("poi/pmu/frequency", "poi/frequency"),
        begins=(FREQUENCY_LOST, 1),
        then=(f"{UNIT}/droop_state", 5),
        after_s=5.0,
        safe={f"{UNIT}/response_kw": 0, f"{UNIT}/frequency_source": 0},
        back={FREQUENCY_LOST: 0, f"{UNIT}/droop_state": 1},
    ),
    Loss(  # the row of the matrix takes the battery to zero; it comes back to nothing that was asked before
        lost=("bms1",),
        measured=("bess1/bms/soc",),
        begins=(online("bms1"), 0),
        then=("system/interlock/bms_lost/tripped", 1),
        after_s=3.0,
        early_s=1.5,
        safe={f"{UNIT}/source": 2, f"{UNIT}/target_kw": 0},
        back={"system/interlock/bms_lost/tripped": 0},
    ),
    Loss(  # the PCS runs down by itself, its heartbeat is missing; the gateway ramps to zero and waits for it
        lost=("pcs1",),
        measured=("bess1/pcs/active_power", "bess1/pcs/soc"),
        begins=(online("pcs1"), 0),
        then=("system/interlock/pcs_lost/tripped", 1),
        after_s=3.0,
        safe={f"{UNIT}/source": 2, f"{UNIT}/target_kw": 0},
        for_s=13.0,  # the watchdog of the PCS: 10 s
        back={"system/interlock/pcs_lost/tripped": 0, "bess1/pcs/power_setpoint": 0},
    ),
)


class Watcher:
    """Someone who sees the points of the gateway live."""

    def __init__(self, client: FeedClient, rows: dict[str, int]) -> None:
        self._mirror, self._rows = client.mirror, rows

    def is_at(self, name: str, value: float) -> bool:
        row = self._rows[name]
        return self.usable(name) and abs(float(self._mirror.value[row]) - value) < 0.5

    def usable(self, name: str) -> bool:
        return not int(self._mirror.quality[self._rows[name]]) & int(UNUSABLE)

    def time_ns(self, name: str) -> int:
        return int(self._mirror.time_ns[self._rows[name]])

    async def until(self, condition: object, what: str) -> None:
        end = time.monotonic() + 60
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < end, f"waited in vain for: {what}"
            await asyncio.sleep(0.05)

    async def sees(self, points: dict[str, float]) -> None:
        for name, value in points.items():
            shown = lambda name=name: f"{name} is {self._mirror.value[self._rows[name]]:g}"  # noqa: E731
            await self.until(lambda name=name, value=value: self.is_at(name, value), f"{name} {value:g}; {shown()}")


@pytest.mark.timeout(600)
def test_each_device_that_is_lost_leaves_the_plant_safe_in_the_configured_time(tmp_path: Path) -> None:
    with DemoSite(tmp_path, whole=True) as demo:
        matrix = demo.site.parent / "interlocks.csv"
        matrix.write_text(
            matrix.read_text() + "bms_lost,quality(bess1/bms/soc) != good,3000,,ramp bess1 0,no,auto,high,BMS lost,,\n"
        )
        demo.start_simulator()
        demo.order("frequency 50")
        demo.start()

        async def story() -> None:
            plan = load_site(demo.site)
            plan.state_dir = demo.state_dir
            async with connected(plan, "test") as client:
                watcher = Watcher(client, dict(plan.catalogue.rows))
                for loss in LOSSES:
                    await _lose(demo, watcher, loss)

        asyncio.run(story())


async def _lose(demo: DemoSite, watcher: Watcher, loss: Loss) -> None:
    devices = {online(device): 1.0 for device in loss.lost}
    await watcher.sees(devices | {f"{UNIT}/frequency_source": 1, f"{UNIT}/droop_state": 1})
    for name in loss.measured:
        await watcher.until(lambda name=name: watcher.usable(name), f"{name} to be read")
    for device in loss.lost:
        demo.order(f"unplug {device}")
    await watcher.sees(dict([loss.begins, loss.then]))
    for name in loss.measured:
        await watcher.until(lambda name=name: not watcher.usable(name), f"{name} to be of no use")
    await watcher.sees(loss.safe)
    passed_s = (watcher.time_ns(loss.then[0]) - watcher.time_ns(loss.begins[0])) / _S
    assert loss.after_s - loss.early_s <= passed_s <= loss.after_s + _LATE_S, f"{loss.lost}: after {passed_s:.2f} s"
    await asyncio.sleep(loss.for_s)
    for device in loss.lost:
        demo.order(f"plug {device}")
    await watcher.sees(dict.fromkeys(devices, 1.0) | loss.back)
