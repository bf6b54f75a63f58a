"""What was found wrong with c104 as a server, and what users of such gateways report: each shown right in ours.

One test a finding, named for it. The station is ours, over TCP; the master shows every octet. Where c104 as a master
can see it, it is asked too.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import random
import struct
from collections.abc import Awaitable, Callable

import pytest

from gateway.contracts import Command, OnOutcome, Outcome, Reason, Stage
from gateway.points import Quality
from tests.contract.server_suite import until
from tests.kit.gateway import C104Master
from tests.kit.station104 import NOON, Station, analogs, points, station
from tests.peers.raw104 import STARTDT_ACT, STARTDT_CON, TESTFR_ACT, TESTFR_CON, Frame, Raw104, asdu

HAS_C104 = importlib.util.find_spec("c104") is not None
PLANT = points(
    "power analog -1000 1000,fault binary,breaker double,tap analog -64 63,"
    "flags analog,energy counter,setpoint setpoint -1000 1000,run control"
)
POWER, FAULT, BREAKER, TAP, FLAGS, ENERGY, SETPOINT, RUN = range(8)
MAP = """
point,ca,ioa,type,group,mode
power,1,4001,M_ME_TF_1,1,
fault,1,1001,M_SP_TB_1,2,
breaker,1,2001,M_DP_TB_1,16,
tap,1,3001,M_ST_TB_1,,
flags,1,8001,M_BO_TB_1,,
energy,1,5001,M_IT_TB_1,1,
setpoint,1,7001,C_SE_NC_1,,direct|select
run,1,6001,C_SC_NA_1,,select
"""
SIZES = {1: 1, 3: 1, 5: 2, 7: 5, 13: 5, 15: 5, 30: 8, 31: 8, 32: 9, 33: 12, 36: 12, 37: 12}


def run(talk: Callable[[Station], Awaitable[None]], map_: str | dict[str, str] = MAP, **keys: object) -> None:
    async def play() -> None:
        async with station(PLANT, map_, **keys) as running:  # type: ignore[arg-type]
            await talk(running)

    asyncio.run(play())


def said(frame: Frame) -> tuple[int, int, bool]:
    return frame.type_id, frame.cause, frame.negative


def objects(frames: list[Frame]) -> list[tuple[int, bytes]]:
    return [one for frame in frames if frame.type_id in SIZES for one in frame.objects(SIZES[frame.type_id])]


def floats(frames: list[Frame]) -> dict[int, float]:
    return {ioa: struct.unpack("<f", element[:4])[0] for ioa, element in objects(frames)}


async def events(master: Raw104, count: int) -> list[tuple[int, bytes]]:
    """So many events, all spontaneous; what comes too much stays unread."""
    found: list[tuple[int, bytes]] = []
    while len(found) < count:
        frame = await master.hear_i()
        assert frame.cause == 3, frame.raw.hex()
        found += objects([frame])
    return found


def numbers(found: list[tuple[int, bytes]]) -> list[int]:
    """The values of floats, which number the events."""
    return [int(struct.unpack("<f", element[:4])[0]) for _, element in found]


# --- Queue


def test_10_000_events_wait_for_a_master_that_is_not_connected_and_none_is_missing() -> None:
    """c104 keeps 100 ASDUs per connection, and nothing while no master is connected."""

    async def talk(running: Station) -> None:
        for number in range(1, 10_001):
            running.change((POWER, float(number)))
        master = await running.master()
        assert numbers(await events(master, 10_000)) == list(range(1, 10_001))

    run(talk)


def test_what_a_master_had_not_acknowledged_comes_again_after_a_tcp_drop_and_nothing_else() -> None:
    """c104 replays nothing after a drop."""

    async def talk(running: Station) -> None:
        first = await running.master()
        first.acknowledging = False
        running.change(*((POWER, float(number)) for number in range(1, 31)))
        heard = numbers(await events(first, 30))
        await first.send(asdu(104, 6, 1, 0, "aa55"))  # N(R) acknowledges all that came
        assert said(await first.hear_i()) == (104, 7, False)
        running.change(*((POWER, float(number)) for number in range(31, 61)))
        unacknowledged = numbers(await events(first, 30))
        await first.close()
        running.change((POWER, 61.0))
        second = await running.master()
        assert heard + unacknowledged == list(range(1, 61))
        assert numbers(await events(second, 31)) == list(range(31, 62))
        assert await second.silent()

    run(talk)


def test_20_000_single_events_at_once_all_arrive_in_order() -> None:
    """c104 says True while 20 to 40 % vanish."""

    async def talk(running: Station) -> None:
        master = await running.master()
        running.change(*((POWER, float(number)) for number in range(1, 20_001)))
        assert numbers(await events(master, 20_000)) == list(range(1, 20_001))

    run(talk, master={"objects_per_asdu": 1})


def test_an_isolated_event_leaves_with_the_call_that_made_it() -> None:
    """c104 sends at its next tick, 11 to 98 ms later. Here no timer stands between: the octets are gone at once."""

    async def talk(running: Station) -> None:
        await running.master()
        running.change((POWER, 5.0))
        last = running.port.trace.records("main")[-1]  # nothing was awaited since
        assert last.outgoing and last.data[6] == 36

    run(talk)


# --- Interrogation


def floats_map(count: int, step: int) -> str:
    rows = (f"p{row},1,{1 + row * step},M_ME_TF_1" for row in range(count))
    return "point,ca,ioa,type\n" + "\n".join(rows)


@pytest.mark.parametrize(("name", "step"), [("contiguous", 1), ("scattered", 7)])
def test_an_interrogation_of_10_000_floats_is_complete(name: str, step: int) -> None:
    """c104 sends 5,440 of them, or 1,840 to 3,450, and terminates all the same."""

    async def play() -> None:
        async with station(analogs(10_000), floats_map(10_000, step)) as running:
            master = await running.master()
            await master.send(asdu(100, 6, 1, 0, "14"))
            frames = await master.collect((100, 10))
            assert [ioa for ioa, _ in objects(frames)] == [1 + row * step for row in range(10_000)]
            assert floats(frames) == {1 + row * step: float(row) for row in range(10_000)}
            assert {frame.cause for frame in frames} == {7, 20, 10}

    asyncio.run(play())


@pytest.mark.skipif(not HAS_C104, reason="c104 is not installed here")
@pytest.mark.parametrize("step", [1, 7])
def test_c104_as_a_master_counts_10_000_floats_too(step: int) -> None:
    async def play() -> None:
        async with station(analogs(10_000), floats_map(10_000, step)) as running:
            with C104Master(running.server.bound_port) as master:
                await until(master.is_open)
                assert await asyncio.to_thread(master.order, "interrogate")
                await until(lambda: any(frame["type"] == 100 and frame["cot"] == 10 for frame in master.frames))
                found = [one for frame in master.frames if frame["cot"] == 20 for one in frame["objects"]]
        assert {one["ioa"]: one["fields"][0] for one in found} == {1 + row * step: float(row) for row in range(10_000)}
        assert len(found) == 10_000

    asyncio.run(play())


def test_groups_1_to_16_are_answered_each_with_its_own() -> None:
    """c104 refuses groups; users report the same of their gateways."""

    async def talk(running: Station) -> None:
        master = await running.master()
        of_group = {1: [4001], 2: [1001], 16: [2001]}
        for group in range(1, 17):
            await master.send(asdu(100, 6, 1, 0, f"{20 + group:02x}"))
            frames = await master.collect((100, 10))
            assert said(frames[0]) == (100, 7, False)
            assert [ioa for ioa, _ in objects(frames)] == of_group.get(group, [])
            assert {frame.cause for frame in frames[1:-1]} <= {20 + group}

    run(talk)


def test_freeze_and_reset_of_counters_happen_before_they_are_confirmed() -> None:
    """c104 confirms freeze and reset and does nothing."""

    async def talk(running: Station) -> None:
        master = await running.master()

        async def order(qcc: str) -> None:
            await master.send(asdu(101, 6, 1, 0, qcc))
            assert [said(await master.hear_i()) for _ in range(2)] == [(101, 7, False), (101, 10, False)]

        async def read() -> int:
            await master.send(asdu(101, 6, 1, 0, "05"))
            assert said(await master.hear_i()) == (101, 7, False)
            frames = await master.collect((101, 10))
            assert {frame.cause for frame in frames[:-1]} == {37}
            ((ioa, element),) = objects(frames)
            assert ioa == 5001
            return int.from_bytes(element[:4], "little", signed=True)

        running.port.set(ENERGY, 100.0, NOON)
        await order("45")  # freeze, no reset
        running.port.set(ENERGY, 130.0, NOON)
        assert await read() == 100
        await order("85")  # freeze, with reset
        running.port.set(ENERGY, 135.0, NOON)
        assert await read() == 130
        await order("45")
        assert await read() == 5
        await order("c5")  # reset
        await order("45")
        assert await read() == 0

    run(talk)


# --- Malformed


def test_a_clock_command_of_12_octets_closes_its_link_and_nothing_else() -> None:
    """This frame kills a process that runs c104."""

    async def talk(running: Station) -> None:
        other = await running.master(2)
        victim = await running.master()
        await victim.say("680a00000000670106000100")
        assert await victim.ended()
        running.change((POWER, 5.0))
        assert numbers(await events(other, 1)) == [5]
        again = await running.master()
        await again.send(asdu(104, 6, 1, 0, "aa55"))
        assert 104 in {(await again.hear_i()).type_id for _ in range(2)}
        assert [facts["master"] for facts in running.port.log.said("connection closed")] == ["main"]

    run(talk, {"main": MAP, "other": MAP})


def test_1_180_random_asdus_end_at_most_their_own_links() -> None:
    """15 to 20 of them crash c104."""
    draw = random.Random(104)

    async def talk(running: Station) -> None:
        for _ in range(118):
            master = await running.master()
            octets = b""
            for number in range(10):
                body = draw.randbytes(draw.randrange(1, 60))
                if draw.random() < 0.7:  # a head that is nearly right
                    body = bytes([draw.choice([45, 46, 50, 58, 63, 100, 101, 102, 103, 104, 107, 110, 113])]) + body
                octets += struct.pack("<BBHH", 0x68, len(body) + 4, number << 1, 0) + body
            with contextlib.suppress(ConnectionError):
                await master.say(octets.hex())
            await master.close()
        await until(lambda: not running.server.links)
        master = await running.master()
        await master.send(asdu(100, 6, 1, 0, "14"))
        frames = await master.collect((100, 10))
        assert 4001 in floats([frame for frame in frames if frame.type_id == 13])

    run(talk)


# --- Commands


def real(value: float, select: bool = False) -> str:
    return struct.pack("<fB", value, 0x80 if select else 0).hex()


def test_a_cancelled_select_does_not_execute() -> None:
    """c104 leaves the select armed."""

    async def talk(running: Station) -> None:
        master = await running.master()
        for cause, element, answer in (
            (6, "81", (45, 7, False)),  # select
            (8, "81", (45, 9, False)),  # cancel
            (6, "01", (45, 7, True)),  # execute: nothing is selected, and mode is select
        ):
            await master.send(asdu(45, cause, 1, 6001, element))
            assert said(await master.hear_i()) == answer
        assert running.port.commands.received == []

    run(talk)


def test_an_execute_with_another_value_than_was_selected_does_nothing() -> None:
    """c104 executes it; users report selects that became direct operates."""

    async def talk(running: Station) -> None:
        master = await running.master()
        await master.send(asdu(50, 6, 1, 7001, real(100, select=True)))
        assert said(await master.hear_i()) == (50, 7, False)
        await master.send(asdu(50, 6, 1, 7001, real(900)))
        assert said(await master.hear_i()) == (50, 7, True)
        assert running.port.commands.received == []

    run(talk)


def test_a_select_is_no_execute_and_an_execute_of_a_select_point_needs_one() -> None:
    async def talk(running: Station) -> None:
        master = await running.master()
        await master.send(asdu(45, 6, 1, 6001, "01"))
        assert said(await master.hear_i()) == (45, 7, True)
        await master.send(asdu(45, 6, 1, 6001, "81"))
        assert said(await master.hear_i()) == (45, 7, False)
        assert running.port.commands.received == []
        await master.send(asdu(45, 6, 1, 6001, "01"))
        assert [said(await master.hear_i()) for _ in range(2)] == [(45, 7, False), (45, 10, False)]
        assert [command.value for command in running.port.commands.received] == [1.0]

    run(talk)


def told(*stages: Stage) -> Callable[[Command, OnOutcome], None]:
    def script(command: Command, tell: OnOutcome) -> None:
        for stage in stages:
            tell(Outcome(id=command.id, stage=stage, reason=Reason.DEVICE_LOST))

    return script


@pytest.mark.parametrize(
    ("stages", "answers"),
    [
        ((Stage.REFUSED,), [(50, 7, True)]),
        ((Stage.FAILED,), [(50, 7, True)]),
        ((Stage.ACCEPTED, Stage.FAILED), [(50, 7, False), (50, 10, True)]),
        ((Stage.ACCEPTED, Stage.COMPLETED), [(50, 7, False), (50, 10, False)]),
    ],
)
def test_a_command_that_failed_is_never_told_as_done(
    stages: tuple[Stage, ...], answers: list[tuple[int, int, bool]]
) -> None:
    """c104 confirms positive when the application raised."""

    async def talk(running: Station) -> None:
        running.port.commands.script = told(*stages)
        master = await running.master()
        await master.send(asdu(50, 6, 1, 7001, real(1)))
        assert [said(await master.hear_i()) for _ in answers] == answers
        assert await master.silent()

    run(talk)


def test_a_command_that_takes_its_time_holds_nobody_up_and_is_answered_to_its_asker_alone() -> None:
    """c104's callback is synchronous and does not know who asks. Users miss confirmations of what they handle."""

    async def talk(running: Station) -> None:
        waiting: list[tuple[Command, OnOutcome]] = []
        running.port.commands.script = lambda command, tell: waiting.append((command, tell))
        asker, other = await running.master(1), await running.master(2)
        await asker.send(asdu(50, 6, 1, 7001, real(1), oa=7))
        await until(lambda: bool(waiting))
        await other.send(asdu(104, 6, 1, 0, "aa55"))
        assert said(await other.hear_i()) == (104, 7, False)
        running.change((POWER, 9.0))
        assert numbers(await events(asker, 1)) == numbers(await events(other, 1)) == [9]
        command, tell = waiting[0]
        assert (command.origin.master, command.origin.peer) == ("main", "127.0.0.1")
        for stage, cause in ((Stage.ACCEPTED, 7), (Stage.COMPLETED, 10)):
            tell(Outcome(id=command.id, stage=stage))
            frame = await asker.hear_i()
            assert (said(frame), frame.originator) == ((50, cause, False), 7)
        assert await other.silent()

    run(talk, {"main": MAP, "other": MAP})


def test_a_command_with_the_test_bit_does_not_reach_the_field() -> None:
    """c104 ignores the test bit."""

    async def talk(running: Station) -> None:
        master = await running.master()
        await master.send(asdu(50, 0x80 | 6, 1, 7001, real(1)))
        frame = await master.hear_i()
        assert said(frame) == (50, 7, True) and frame.test
        assert running.port.commands.received == []

    run(talk)


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


# --- What users report most


def test_events_around_a_drop_in_the_middle_of_a_frame_are_neither_lost_nor_stranded() -> None:
    async def talk(running: Station) -> None:
        heard: list[int] = []
        acknowledged = 0
        for round_ in range(20):
            running.change(*((POWER, float(number)) for number in range(1 + round_ * 50, 51 + round_ * 50)))
            master = await running.master()
            master.w = 1
            for _ in range(2):
                new = numbers(objects([await master.hear_i()]))
                assert new == list(range(acknowledged + 1, acknowledged + 1 + len(new)))
                acknowledged += len(new)
                heard += new
            await master.say("68")  # half a frame, and the link is cut
            await master.close()
            await until(lambda: not running.server.links)
        master = await running.master()
        heard += numbers(await events(master, 1_000 - len(heard)))
        assert heard == list(range(1, 1_001))

    run(talk)


def test_one_master_does_not_consume_the_events_of_another() -> None:
    async def talk(running: Station) -> None:
        first = await running.master(1)
        running.change(*((POWER, float(number)) for number in range(1, 201)))
        assert numbers(await events(first, 200)) == list(range(1, 201))
        await first.acknowledge()
        second = await running.master(2)
        assert numbers(await events(second, 200)) == list(range(1, 201))

    run(talk, {"main": MAP, "other": MAP})


def test_every_station_answers_the_broadcast_address() -> None:
    """With c104 one does."""
    map_ = "point,ca,ioa,type\npower,1,4001,M_ME_TF_1\npower,2,4001,M_ME_TF_1\npower,77,4001,M_ME_TF_1"

    async def talk(running: Station) -> None:
        master = await running.master()
        await master.send(asdu(100, 6, 0xFFFF, 0, "14"))
        frames: list[Frame] = []
        for _ in range(3):
            frames += await master.collect((100, 10))
        for cause in (7, 20, 10):
            assert [frame.ca for frame in frames if frame.cause == cause] == [1, 2, 77]

    run(talk, map_)


def test_causes_of_transmission_are_what_a_protocol_tester_expects() -> None:
    """What WinPP104 and its like catch: each message has the cause that belongs to it, unknown things 44 to 47."""

    async def talk(running: Station) -> None:
        master = await running.master()
        for request, answer in (
            (asdu(120, 6, 1, 1, "00"), 44),
            (asdu(100, 5, 1, 0, "14"), 45),
            (asdu(100, 6, 9, 0, "14"), 46),
            (asdu(45, 6, 1, 9999, "01"), 47),
            (asdu(102, 5, 1, 9999), 47),
            (asdu(100, 6, 1, 5, "14"), 47),
        ):
            await master.send(request)
            frame = await master.hear_i()
            assert (frame.type_id, frame.cause, frame.negative) == (request[0], answer, True)
            assert frame.asdu[6:] == request[6:], "the request comes back as it was"
        await master.send(asdu(102, 5, 1, 4001, oa=9))
        frame = await master.hear_i()
        assert (frame.type_id, frame.cause, frame.originator) == (13, 5, 9)
        running.change((POWER, 5.0))
        assert said(await master.hear_i()) == (36, 3, False)

    run(talk)


def test_k_is_adjustable() -> None:
    async def talk(running: Station) -> None:
        master = await running.master()
        master.acknowledging = False
        running.change(*((POWER, float(number)) for number in range(1, 21)))
        assert numbers([one for _ in range(3) for one in objects([await master.hear_i()])]) == [1, 2, 3]
        assert await master.silent()
        await master.acknowledge()
        assert numbers(objects([await master.hear_i()])) == [4]

    run(talk, apci={"k": 3, "w": 2}, master={"objects_per_asdu": 1})


def test_w_is_adjustable() -> None:
    """Commands that nothing answers yet are acknowledged at the third, long before t2."""

    async def talk(running: Station) -> None:
        running.port.commands.script = lambda command, tell: None
        master = await running.master()
        await master.send(asdu(50, 6, 1, 7001, real(1)))
        await master.send(asdu(50, 6, 1, 7001, real(2)))
        assert await master.silent()
        await master.send(asdu(50, 6, 1, 7001, real(3)))
        assert (await master.hear()).raw.hex() == "680401000600"  # S frame, N(R) = 3

    run(talk, apci={"w": 3})


def test_t1_and_t3_are_adjustable() -> None:
    """Idle for t3: a test frame. Not answered for t1: closed. Answered: open."""

    async def talk(running: Station) -> None:
        silent, alive = await running.connect(1), await running.connect(2)
        for master in (silent, alive):
            await master.say(STARTDT_ACT)
            assert (await master.hear()).raw.hex() == STARTDT_CON
        assert (await alive.hear()).raw.hex() == TESTFR_ACT  # `hear` answers it
        assert await silent.ended()
        await alive.say(TESTFR_ACT)
        heard = [(await alive.hear()).raw.hex()]
        while heard[-1] != TESTFR_CON:
            heard.append((await alive.hear()).raw.hex())
        assert set(heard[:-1]) <= {TESTFR_ACT}

    run(talk, {"main": MAP, "other": MAP}, apci={"t1_s": 1.1, "t2_s": 1.0, "t3_s": 1.0})


def test_t2_is_adjustable() -> None:
    """What the master sent and nothing answers is acknowledged within t2."""

    async def talk(running: Station) -> None:
        running.port.commands.script = lambda command, tell: None
        master = await running.master()
        await master.send(asdu(50, 6, 1, 7001, real(1)))
        frame = await master.hear()
        assert frame.raw.hex() == "680401000200"  # S frame, N(R) = 1

    run(talk, apci={"t2_s": 1.0})


def test_a_command_that_the_application_handles_is_confirmed_and_terminated() -> None:
    async def talk(running: Station) -> None:
        master = await running.master()
        await master.send(asdu(50, 6, 1, 7001, real(12.5), oa=3))
        frames = [await master.hear_i() for _ in range(2)]
        assert [said(frame) for frame in frames] == [(50, 7, False), (50, 10, False)]
        assert {frame.originator for frame in frames} == {3}
        assert {frame.asdu[6:].hex() for frame in frames} == {"591b00" + real(12.5)}
        assert [command.value for command in running.port.commands.received] == [12.5]

    run(talk)
