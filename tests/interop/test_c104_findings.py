"""What was found wrong with c104 as a server, and what users of such gateways report: each shown right in ours.

One test a finding, named for it. The station is ours, over TCP; the master shows every octet. Where c104 as a master
can see it, it is asked too."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import random
import struct

import pytest

from tests.contract.server_suite import until
from tests.kit.findings104 import ENERGY, MAP, POWER, events, floats, numbers, objects, real, run, said
from tests.kit.gateway import C104Master
from tests.kit.station104 import NOON, Station, analogs, station
from tests.peers.raw104 import STARTDT_ACT, STARTDT_CON, TESTFR_ACT, TESTFR_CON, Frame, asdu

HAS_C104 = importlib.util.find_spec("c104") is not None


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
