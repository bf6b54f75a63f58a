"""Alarms over the feed: a snapshot at first, events after, resumed or begun anew after an absence."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.alarms.mirror import AlarmMirror
from gateway.alarms.model import AlarmRecord, Condition
from gateway.contracts.command import Action
from gateway.feed import alarmring
from gateway.feed.frames import HEADER_BYTES
from tests.kit.alarmkit import DOOR, TEMP, Definition, Story, alarm_catalogue
from tests.kit.feedkit import CoreSide, ReaderSide, until

POINTS = 5
HOT = "bess1/temp/hh"


class Reader(ReaderSide):
    """A reader that wants alarms too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.heard: list[AlarmRecord] = []

    def feed_alarms(self, records: list[AlarmRecord]) -> None:
        self.heard += records


def wanting(path: Path, story: Story) -> Reader:
    reader = Reader(path, POINTS)
    reader.client.alarms = AlarmMirror(story.alarms)
    return reader


def story() -> Story:
    return Story(
        alarm_catalogue(
            Definition(row=TEMP, condition=Condition.HH, limit=60),
            Definition(row=DOOR, condition=Condition.ALARM, limit=1),
        )
    )


def tell(core: CoreSide, told: Story) -> None:
    events, told.events = told.events, []
    core.hub.tell_alarms(events)


def test_a_reader_has_what_stands_and_hears_what_happens(tmp_path: Path) -> None:
    async def play() -> None:
        core, told = CoreSide(tmp_path / "feed.sock", POINTS), story()
        told.engine.seq = 1 << 40
        core.hub.alarms.begin(told.engine.seq, told.engine.records.values, told.alarms.digest)
        await core.hub.start(core.path)
        tell(core, told.told((TEMP, 61)))
        reader, plain = wanting(core.path, told), ReaderSide(core.path, POINTS, name="plain")
        reader.start()
        plain.start()
        await until(lambda: reader.ready and plain.ready)
        mirror = reader.client.alarms
        assert mirror is not None
        assert mirror.records == told.engine.records, "known before it is ready"
        tell(core, told.act(Action.ACKNOWLEDGE, HOT).told((DOOR, 1)))
        await until(lambda: len(reader.heard) == 3)
        assert mirror.records == told.engine.records
        assert mirror.seq == told.engine.seq == core.hub.alarms.seq
        await reader.stop()
        await plain.stop()
        await core.hub.stop()

    asyncio.run(play())


def test_after_an_absence_it_hears_exactly_what_it_missed(tmp_path: Path) -> None:
    async def play() -> None:
        core, told = CoreSide(tmp_path / "feed.sock", POINTS), story()
        told.engine.seq = 1 << 40
        core.hub.alarms.begin(told.engine.seq, told.engine.records.values, told.alarms.digest)
        await core.hub.start(core.path)
        reader = wanting(core.path, told)
        reader.start()
        await until(lambda: reader.ready)
        tell(core, told.told((TEMP, 61)))
        await until(lambda: len(reader.heard) == 1)
        for link in list(core.hub._readers):
            link.close()
        tell(core, told.told((DOOR, 1)).told((TEMP, 1)))
        await until(lambda: len(reader.heard) == 3)
        assert [(record.index, str(record.event)) for record in reader.heard[1:]] == [
            (told.index("bess1/door/alarm"), "raised"),
            (told.index(HOT), "returned"),
        ]
        await reader.stop()
        await core.hub.stop()

    asyncio.run(play())


def test_another_life_of_the_core_is_a_new_beginning(tmp_path: Path) -> None:
    """The reader hears what stands otherwise, and what is normal meanwhile."""

    async def play() -> None:
        path, first, second = tmp_path / "feed.sock", story(), story()
        core = CoreSide(path, POINTS)
        core.hub.alarms.begin(1 << 40, first.engine.records.values, first.alarms.digest)
        first.engine.seq = 1 << 40
        await core.hub.start(path)
        reader = wanting(path, first)
        reader.start()
        await until(lambda: reader.ready)
        tell(core, first.told((TEMP, 61)))
        await until(lambda: len(reader.heard) == 1)
        await core.hub.stop()
        again = CoreSide(path, POINTS, epoch=2)
        second.engine.seq = 2 << 40
        again.hub.alarms.begin(2 << 40, second.engine.records.values, second.alarms.digest)
        tell(again, second.told((DOOR, 1)))
        await again.hub.start(path)
        await until(lambda: len(reader.heard) == 3)
        mirror = reader.client.alarms
        assert mirror is not None
        assert mirror.records == second.engine.records
        assert {record.index: record.active for record in reader.heard[1:]} == {
            first.index(HOT): False,
            first.index("bess1/door/alarm"): True,
        }
        await reader.stop()
        await again.hub.stop()

    asyncio.run(play())


def test_one_that_was_away_too_long_gets_everything(monkeypatch) -> None:
    monkeypatch.setattr(alarmring, "_EVENTS_HELD", 3)
    told, ring = story(), alarmring.AlarmRing()
    ring.begin(0, told.engine.records.values)
    for value in (61, 1, 61, 1, 61):
        ring.append(told.told((TEMP, value)).events)
        told.events = []
    assert len(ring.after(3)) == 2
    [whole] = ring.after(1)
    assert alarmring.read_alarms(whole[HEADER_BYTES:], 2, 0) == (True, list(told.engine.records.values()))
    assert alarmring.read_alarms(whole[HEADER_BYTES:], 2, 7) is None, "of another site file"


def test_what_came_already_is_not_told_again() -> None:
    told = story().told((TEMP, 61)).told((TEMP, 1))
    mirror = AlarmMirror(told.alarms)
    assert mirror.apply(told.events) == told.events
    assert mirror.apply(told.events) == []


def test_the_digest_tells_other_alarms_from_these() -> None:
    other = alarm_catalogue(
        Definition(row=TEMP, condition=Condition.H, limit=60), Definition(row=DOOR, condition=Condition.ALARM)
    )
    assert other.digest != story().alarms.digest == story().alarms.digest


def test_alarms_of_another_site_file_are_not_taken(tmp_path: Path) -> None:
    async def play() -> None:
        core, told = CoreSide(tmp_path / "feed.sock", POINTS), story()
        core.hub.alarms.begin(1 << 40, told.engine.records.values, told.alarms.digest + 1)
        await core.hub.start(core.path)
        reader = wanting(core.path, told)
        reader.start()
        await until(lambda: reader.ready)
        assert reader.client.alarms_differ
        assert reader.log.events() == ["the core has other alarms: the site file has changed since it started"]
        await reader.stop()
        await core.hub.stop()

    asyncio.run(play())
