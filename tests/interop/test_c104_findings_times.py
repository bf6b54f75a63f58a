"""What was found wrong with times and qualities of c104 as a server: each shown right in ours."""

from __future__ import annotations

import pytest

from gateway.points import Quality
from tests.kit.findings104 import BREAKER, FAULT, FLAGS, PLANT, POWER, TAP, events, objects, run
from tests.kit.station104 import NOON, Station
from tests.peers.raw104 import asdu

# --- Time and quality


def tag_of(found: list[tuple[int, bytes]]) -> bytes:
    return found[-1][1][-7:]


def hour_minute(tag: bytes) -> tuple[int, int]:
    return tag[3] & 0x1F, tag[2] & 0x3F


def test_time_tags_are_in_the_zone_of_the_site_with_summer_time_and_validity() -> None:
    """c104 puts UTC on the wire, whatever the zone, and sets neither IV nor SU."""
    july = 1_689_336_000_000_000_000  # 2023-07-14 12:00 UTC

    async def talk(running: Station) -> None:
        master = await running.master()
        running.change((POWER, 1.0, 0, july), (POWER, 2.0, int(Quality.TIME_INVALID), NOON))
        summer, winter = (element[-7:] for _, element in await events(master, 2))
        assert (hour_minute(summer), summer[3] & 0x80, summer[2] & 0x80) == ((14, 0), 0x80, 0)
        assert (hour_minute(winter), winter[3] & 0x80, winter[2] & 0x80) == ((23, 13), 0, 0x80)
        assert (winter[4] & 0x1F, winter[5] & 0x0F, winter[6] & 0x7F) == (14, 11, 23)

    run(talk, time_zone="Europe/Berlin")


def test_the_hour_that_comes_twice_in_autumn_is_told_apart() -> None:
    """Users report an hour of events doubled or lost when the clocks go back."""
    first = 1_698_539_400_000_000_000  # 2023-10-29 00:30 UTC, 02:30 summer time in Berlin
    second = first + 3_600_000_000_000  # 01:30 UTC, 02:30 winter time

    async def talk(running: Station) -> None:
        master = await running.master()
        running.change((POWER, 1.0, 0, first), (POWER, 2.0, 0, second))
        tags = [element[-7:] for _, element in await events(master, 2)]
        assert [hour_minute(tag) for tag in tags] == [(2, 30), (2, 30)]
        assert [tag[3] & 0x80 for tag in tags] == [0x80, 0]

    run(talk, time_zone="Europe/Berlin")


def test_a_value_that_went_stale_keeps_its_time_and_its_value() -> None:
    """Users' first complaint: old values sent again with new time stamps. c104 stamps at every assignment."""

    async def talk(running: Station) -> None:
        master = await running.master()
        running.change((POWER, 50.0, 0, NOON))
        running.change((POWER, 50.0, int(Quality.NOT_TOPICAL), NOON))
        (_, fresh), (_, stale) = await events(master, 2)
        assert stale[:4] == fresh[:4] and stale[-7:] == fresh[-7:]
        assert (fresh[4], stale[4]) == (0, 0x40)

    run(talk)


def test_a_bit_string_keeps_its_quality() -> None:
    """c104 drops it on M_BO."""

    async def talk(running: Station) -> None:
        master = await running.master()
        running.change((FLAGS, float(0xA5A5_0001), int(Quality.INVALID | Quality.SUBSTITUTED)))
        ((ioa, element),) = await events(master, 1)
        assert (ioa, element[:5].hex()) == (8001, "0100a5a5" + "a0")
        await master.send(asdu(102, 5, 1, 8001))
        assert objects([await master.hear_i()]) == [(8001, bytes.fromhex("0100a5a5a0"))]

    run(talk)


def test_a_point_that_was_never_written_is_not_good() -> None:
    """c104 reports it good, with 0."""

    async def talk(running: Station) -> None:
        for row in range(len(PLANT)):
            running.port.set(row, 0.0, 0, int(Quality.NEVER_REPORTED))
        master = await running.master()
        await master.send(asdu(100, 6, 1, 0, "14"))
        found = dict(objects(await master.collect((100, 10))))
        assert {ioa: element[-1] & 0xC0 for ioa, element in found.items()} == dict.fromkeys(
            (1001, 2001, 3001, 4001, 8001), 0xC0
        )

    run(talk)


@pytest.mark.parametrize(
    ("row", "ioa", "untimed", "timed"),
    [(FAULT, 1001, 1, 30), (BREAKER, 2001, 3, 31), (TAP, 3001, 5, 32), (FLAGS, 8001, 7, 33), (POWER, 4001, 13, 36)],
)
def test_one_ioa_is_interrogated_without_time_and_reported_with_time(
    row: int, ioa: int, untimed: int, timed: int
) -> None:
    """c104 has one type per ioa."""

    async def talk(running: Station) -> None:
        master = await running.master()
        await master.send(asdu(100, 6, 1, 0, "14"))
        frames = await master.collect((100, 10))
        assert [frame.type_id for frame in frames for one, _ in objects([frame]) if one == ioa] == [untimed]
        running.change((row, 17.0))
        frame = await master.hear_i()
        assert (frame.type_id, frame.cause, frame.ioa) == (timed, 3, ioa)

    run(talk)
