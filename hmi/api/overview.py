"""The overview: what the drawing shows and where its values stand, the engineer's own drawing, alarms in short."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from gateway.alarms.model import AlarmRecord, Priority
from gateway.points.model import NO_ROW
from hmi.desk import Desk
from hmi.diagram import Diagram, Feeder, diagram, frequencies
from hmi.endpoint import Answer, Endpoint, Topic, Visit
from hmi.refusal import Refusal
from hmi.sitedevices import KW, SiteDevice, Switch

NEWEST: Final = 5
_TELL_S: Final = 0.3
_UNIT_POINTS: Final = (
    *("target_kw", "requested_kw", "source", "limit_low_kw", "limit_high_kw", "limited", "blocked", "tripped"),
    *("frequency_band", "droop_state", "response_kw", "headroom_up_kw", "headroom_down_kw", "droop_enabled"),
    *("frequency_lost", "agc_enabled", "agc_target_kw", "agc_lost", "schedule_kw"),
)
"""Names below ``system/control/UNIT/`` that the page shows, those that there are."""


class PowerFacts(Answer):
    point: str
    kw: float
    """How many kW one of its units is."""


class SwitchFacts(Answer):
    point: str
    label: str
    closed: float
    """The value that means closed."""


class ModeFacts(Answer):
    point: str
    words: dict[int, str]


class DevicePart(Answer):
    """A device as part of a feeder. Empty names: it has no such point."""

    name: str
    sort: str
    online: str
    switches: list[SwitchFacts]
    mode: ModeFacts | None
    troubles: list[str]


class FeederFacts(Answer):
    name: str
    sort: str
    power: PowerFacts | None
    soc: str
    setpoint: str
    running: str
    rated_kw: float | None
    soc_limits: tuple[float, float] | None
    devices: list[DevicePart]
    control: dict[str, str]
    """What control says of the unit: point by the last part of its name; empty where control does not run it."""


class OverviewFacts(Answer):
    power: PowerFacts | None
    """At the grid connection, + export; None: it is the sum of the feeders."""
    voltage: str
    frequency: list[str]
    """The first that is usable counts."""
    connection: list[DevicePart]
    feeders: list[FeederFacts]
    local: str
    """The point that says local or remote; empty: there is none."""
    remote_when: float
    drawing: bool
    """Whether the engineer has supplied a drawing."""


class DrawingFacts(Answer):
    svg: str


class ActiveAlarm(Answer):
    name: str
    message: str
    priority: str
    state: str
    raised_ms: float


class AlarmsInShort(Answer):
    """Of alarms that are active or not acknowledged, and in sight."""

    counts: dict[str, int]
    unacknowledged: int
    newest: list[ActiveAlarm]


_FACTS: Final[WeakKeyDictionary[Desk, OverviewFacts]] = WeakKeyDictionary()


async def _overview(visit: Visit) -> OverviewFacts:
    """Found once: the site does not change while this process lives."""
    if visit.desk not in _FACTS:
        _FACTS[visit.desk] = await asyncio.to_thread(_found, visit.desk)
    return _FACTS[visit.desk]


def _found(desk: Desk) -> OverviewFacts:
    plan, names = desk.site, desk.catalogue.names
    drawing, local = diagram(plan), plan.local_remote
    return OverviewFacts(
        power=_power(desk, drawing.power),
        voltage=_name(desk, drawing.voltage),
        frequency=[names[row] for row in frequencies(plan, drawing)],
        connection=[_part(desk, device) for device in drawing.connection],
        feeders=_feeders(desk, drawing),
        local="" if local is None else names[local[0]],
        remote_when=0.0 if local is None else local[1],
        drawing=bool(desk.plan.drawing),
    )


def _feeders(desk: Desk, drawing: Diagram) -> list[FeederFacts]:
    return [_feeder(desk, feeder) for feeder in drawing.feeders]


def _feeder(desk: Desk, feeder: Feeder) -> FeederFacts:
    control = desk.site.control
    unit = None if control is None or feeder.unit < 0 else control.units[feeder.unit]
    return FeederFacts(
        name=feeder.name,
        sort=feeder.sort.value,
        power=_power(desk, feeder.power),
        soc=_name(desk, feeder.soc),
        setpoint=_name(desk, feeder.setpoint),
        running=_name(desk, feeder.running),
        rated_kw=None if unit is None else unit.rated_kw,
        soc_limits=None if unit is None or unit.soc == NO_ROW else unit.soc_limits,
        devices=[_part(desk, device) for device in feeder.devices],
        control={} if unit is None else _control(desk, unit.name),
    )


def _control(desk: Desk, unit: str) -> dict[str, str]:
    points = {name: f"system/control/{unit}/{name}" for name in _UNIT_POINTS}
    return {name: point for name, point in points.items() if point in desk.catalogue.rows}


def _part(desk: Desk, device: SiteDevice) -> DevicePart:
    return DevicePart(
        name=device.name,
        sort=device.sort.value,
        online=desk.catalogue.names[desk.site.device_system[device.name].online],
        switches=[_switch(desk, switch) for switch in device.switches],
        mode=None if device.mode is None else ModeFacts(point=_name(desk, device.mode.row), words=device.mode.words),
        troubles=[desk.catalogue.names[row] for row in device.troubles],
    )


def _switch(desk: Desk, switch: Switch) -> SwitchFacts:
    return SwitchFacts(point=desk.catalogue.names[switch.row], label=switch.label, closed=switch.closed)


def _name(desk: Desk, row: int | None) -> str:
    return "" if row is None else desk.catalogue.names[row]


def _power(desk: Desk, row: int | None) -> PowerFacts | None:
    if row is None:
        return None
    return PowerFacts(point=desk.catalogue.names[row], kw=KW.get(desk.catalogue.units[row], 1.0))


async def _drawing(visit: Visit) -> DrawingFacts:
    svg = visit.desk.plan.drawing
    if not svg:
        raise Refusal(404, "this site has no drawing of its own: key drawing of section hmi")
    return DrawingFacts(svg=svg)


# -- alarms in short ---------------------------------------------------------------------------------------------------


def alarms_in_short(desk: Desk) -> dict[str, Any]:
    """What `AlarmsInShort` holds, as plain values."""
    catalogue, mirror = desk.site.alarms, desk.client.alarms
    shown = [] if mirror is None else [each for each in mirror.records.values() if _asks(each)]
    shown.sort(key=lambda record: record.raised_ns, reverse=True)
    counts = {priority.word: 0 for priority in reversed(Priority)}
    if catalogue is not None:
        for record in shown:
            counts[catalogue.priority_of(record.index).word] += 1
    newest = [] if catalogue is None else [_active(desk, record) for record in shown[:NEWEST]]
    unacknowledged = sum(not record.acknowledged for record in shown)
    return {"counts": counts, "unacknowledged": unacknowledged, "newest": newest}


def _asks(record: AlarmRecord) -> bool:
    return not record.hidden and (record.active or not record.acknowledged)


def _active(desk: Desk, record: AlarmRecord) -> dict[str, Any]:
    catalogue = desk.site.alarms
    if catalogue is None:
        return {}
    return {
        "name": catalogue.name(record.index),
        "message": catalogue.message(record.index),
        "priority": catalogue.priority_of(record.index).word,
        "state": record.state.value,
        "raised_ms": record.raised_ns / 1e6,
    }


async def _alarms(visit: Visit) -> AlarmsInShort:
    return AlarmsInShort.model_validate(alarms_in_short(visit.desk))


@dataclasses.dataclass(slots=True)
class _AlarmNews:
    """Tells the page of alarms, gathered: a flood is a few lines a second."""

    desk: Desk
    woken: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def changed(self, records: Iterable[AlarmRecord]) -> None:
        self.woken.set()

    async def tell(self) -> None:
        while True:
            await self.woken.wait()
            self.woken.clear()
            if self.desk.stream.listened("overview"):
                self.desk.stream.tell("overview", **alarms_in_short(self.desk))
            await asyncio.sleep(_TELL_S)


def _begin(desk: Desk) -> None:
    news = _AlarmNews(desk)
    desk.on_alarms.append(news.changed)
    desk.background.append(news.tell)
    desk.stream.greetings["overview"] = lambda: alarms_in_short(desk)


_TAG: Final = "overview"

TOPIC: Final = Topic(
    begin=_begin,
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/overview",
            handler=_overview,
            answer=OverviewFacts,
            tag=_TAG,
            summary="What the single-line diagram shows, and the points with its values.",
        ),
        Endpoint(
            method="GET",
            path="/api/overview/alarms",
            handler=_alarms,
            answer=AlarmsInShort,
            tag=_TAG,
            summary="Active alarms by priority, and the newest five.",
            quiet=True,
        ),
        Endpoint(
            method="GET",
            path="/api/overview/drawing",
            handler=_drawing,
            answer=DrawingFacts,
            tag=_TAG,
            summary="The engineer's own drawing, as it may be shown.",
            responses={404: "there is none"},
        ),
    ],
)
