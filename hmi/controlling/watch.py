"""Tells pages what control does: the core is asked when something has changed and somebody looks, never otherwise."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.control.image import ImagePlan
from gateway.control.interlock.plan import Interlock
from gateway.control.plan import ControlPlan
from gateway.points.change import Changes
from hmi.desk import Desk

CONTROL_TOPIC: Final = "control"
INTERLOCK_TOPIC: Final = "interlocks"
ASK_S: Final = 2.0
_GATHER_S: Final = 0.25
_OWN: Final = ("system/control/", "system/interlock/", "system/fleet/", "system/location/")

Answers = dict[str, list[bool | None]]
"""Interlock -> what each of its conditions says now; None: an input cannot be used."""


class ControlWatch:
    """One per process."""

    def __init__(self, desk: Desk, plan: ControlPlan) -> None:
        self._desk, self._plan = desk, plan
        self.state: dict[str, Any] = {}
        """The last that the core told; empty: not known."""
        self._woken = asyncio.Event()
        inputs = {row for interlock in plan.interlocks for each in interlock.conditions for row in each.rows}
        self._image = ImagePlan(inputs)
        self._watched: NDArray[np.bool_] = np.zeros(len(desk.catalogue), np.bool_)
        own = [row for row, name in enumerate(desk.catalogue.names) if name.startswith(_OWN)]
        setpoints = [row for unit in plan.units for row in (unit.setpoint, unit.running) if row >= 0]
        self._watched[[*inputs, *own, *setpoints]] = True
        desk.on_changes.append(self._changes)
        desk.on_records.append(lambda record: self._woken.set())
        desk.stream.greetings[CONTROL_TOPIC] = self._greet
        desk.stream.greetings[INTERLOCK_TOPIC] = lambda: {"answers": self.answers()}
        desk.background.append(self.run)

    def _changes(self, batch: Changes, seq: int) -> None:
        if self._watched[batch["row"]].any():
            self._woken.set()

    def _greet(self) -> dict[str, Any]:
        self._woken.set()
        return {"state": self.state}

    async def run(self) -> None:
        """For as long as the process serves."""
        stream = self._desk.stream
        told: Answers = {}
        while True:
            await self._woken.wait()
            await asyncio.sleep(_GATHER_S)
            self._woken.clear()
            if stream.listened(CONTROL_TOPIC):
                stream.tell(CONTROL_TOPIC, state=await self.ask())
            if stream.listened(INTERLOCK_TOPIC) and (answers := self.answers()) != told:
                told = answers
                stream.tell(INTERLOCK_TOPIC, answers=answers)

    async def ask(self) -> dict[str, Any]:
        """What control does now; empty while the core does not answer."""
        try:
            self.state = await self._desk.client.control(ASK_S)
        except TimeoutError:
            self.state = {}
        return self.state

    def answers(self) -> Answers:
        """What the conditions say of the values that this process knows."""
        mirror = self._desk.client.mirror
        image = self._image.take(mirror.value, mirror.quality, mirror.time_ns, time.monotonic_ns(), time.time_ns())
        return {
            interlock.name: [condition.look(image) for condition in interlock.conditions]
            for interlock in self._plan.interlocks
            if interlock.conditions
        }


def condition_texts(plan: ControlPlan, interlock: Interlock) -> list[str]:
    """The conditions as the engineer wrote them."""
    written = plan.settings.get("interlocks", {}).get(interlock.name, {}).get("when", "")
    texts = [text.strip() for text in str(written).split(";") if text.strip()]
    if len(texts) == len(interlock.conditions):
        return texts
    return [condition.expression.source for condition in interlock.conditions]
