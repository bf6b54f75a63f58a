"""An OPC UA server with an alarm engine behind its port, as the core and the feed have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gateway.alarms import AlarmRules, Condition, Priority
from gateway.alarms.actions import AlarmRefused
from gateway.alarms.mirror import AlarmMirror
from gateway.contracts import Command, OnOutcome, Outcome, Reason, Stage
from gateway.points import Kind, Point, PointCatalogue
from protocols.opcua.server import OpcUaServer
from tests.kit.alarmkit import Definition, Story, alarm_catalogue
from tests.kit.opcuakit import Plant

TEMP, DOOR, RUN = range(3)
POINTS = PointCatalogue.of(
    [
        Point(row=TEMP, name="bess1/temp", kind=Kind.ANALOG, unit="degC", description="Cell temperature", device="bms"),
        Point(row=DOOR, name="bess1/door", kind=Kind.BINARY, description="Door"),
        Point(row=RUN, name="bess1/run", kind=Kind.CONTROL),
    ]
)
HOT, OPEN = "bess1/temp/hh", "bess1/door/alarm"


class ConditionSite:
    """`told` gives the engine values; commands of clients reach it as from the broker."""

    def __init__(self, folder: Path) -> None:
        alarms = alarm_catalogue(
            Definition(row=TEMP, condition=Condition.HH, limit=60, priority=Priority.CRITICAL),
            Definition(row=TEMP, condition=Condition.L, limit=5),
            Definition(row=DOOR, condition=Condition.ALARM, limit=1),
            rules=AlarmRules(confirm=True),
            of=POINTS,
        )
        self.story = Story(alarms)
        self.story.engine.seq = 1 << 40
        self.asked: list[Command] = []
        self.plant = Plant(folder, POINTS, commands={"operator": np.array([RUN], np.uint32)})
        port: Any = self.plant.port
        self.mirror = port.alarms = AlarmMirror(alarms)
        port.commands.script = self._submitted
        self.plant.server = port.server = OpcUaServer(self.plant.plan, port)
        for row in range(len(POINTS)):
            port.set(row, 0.0)

    def told(self, *seen: Any) -> None:
        """Changes of points; what they make of alarms reaches the server."""
        self.story.told(*seen)
        self._tell()

    def _tell(self) -> None:
        events, self.story.events = self.story.events, []
        fresh = self.mirror.apply(events)
        if fresh:
            self.plant.server.alarms(fresh)

    def _submitted(self, command: Command, tell: OnOutcome) -> None:
        """The broker, as far as alarms go: only an operator may."""
        self.asked.append(command)
        try:
            if command.origin.master != "operator":
                raise AlarmRefused(Reason.NOT_AUTHORISED, "no right")
            self.story.act(command.action, command.subject, command.text, command.value, command.origin.peer)
        except AlarmRefused as refused:
            tell(Outcome(id=command.id, stage=Stage.REFUSED, reason=refused.reason, text=str(refused)))
            return
        self._tell()
        tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
        tell(Outcome(id=command.id, stage=Stage.COMPLETED))
