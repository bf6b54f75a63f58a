"""A master on TCP and our outstation: what each says, in order. The core behind the server is the test's."""

from __future__ import annotations

import asyncio
import socket
import time

import numpy as np
import pytest

from gateway.points import Kind, Point, PointCatalogue, Quality
from protocols.dnp3.plan import UnsolicitedPlan
from protocols.dnp3.pointtypes import PointType as T
from tests.contract.server_suite import FakePort, until
from tests.kit.dnp3kit import NOON, NOON_TAG, POINTS, ROWS, Row, Site, columns, master, plan, run, site
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0, CLASSES, INTEGRITY, RawDnp3, Response

RESTART, NEED_TIME, CLASS_1, CLASS_2, CLASS_3 = 0x80, 0x10, 0x02, 0x04, 0x08
NO_FUNCTION, NO_OBJECT, BAD_PARAMETER, OVERFLOW = 0x100, 0x200, 0x400, 0x800

STATIC = (
    "010200000081"  # g1v2 0-0: fault 2, on
    "0302000000c1"  # g3v2 0-0: breaker 3, indeterminate
    "0a0200000081"  # g10v2 0-0: run 6, on
    "0a0200050581"  # g10v2 5-5: the index is as in the map
    "14010000000104000000"  # g20v1: energy 4
    "15050000000200000000000000000000"  # g21v5: never frozen, RESTART
    "1e050000010100000000010000803f"  # g30v5 0-1: power 0, frequency 1
    "2803000001010000a040010000a040"  # g40v3 0-1: set-point 5
)


async def ready(site: Site, **keys: object) -> RawDnp3:
    """A master that has cleared the restart indication."""
    connected = await site.connect(**keys)
    answer = await connected.ask(raw.WRITE, "500100" + "0707" + "00")
    assert not answer.iin & RESTART
    return connected


def test_an_integrity_poll_is_complete() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        (answer,) = await rldc.read(INTEGRITY)
        assert answer.objects == STATIC
        assert (answer.fir, answer.fin, answer.con, answer.iin) == (True, True, False, RESTART)

    run(talk)


def test_an_event_comes_before_the_values_with_its_source_time() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(0, 42.5, 0, NOON), (2, 0.0, int(Quality.SUBSTITUTED), NOON)])
        (answer,) = await rldc.read(INTEGRITY)
        assert answer.con
        events = "20071701" + "00" + "01" + "00002a42" + NOON_TAG  # g32v7, index 0, ONLINE, 42.5
        events += "02021701" + "00" + "11" + NOON_TAG  # g2v2, index 0, ONLINE LOCAL_FORCED, off
        assert answer.objects.startswith(events + "0102")
        assert await rldc.poll() == ""

    run(talk)


def test_a_move_inside_the_deadband_is_not_told_but_its_quality_is() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(1, 1.009, 0, NOON)])
        assert await rldc.poll() == ""
        site.port.change([(1, 1.009, int(Quality.NOT_TOPICAL), NOON)])
        assert (
            await rldc.poll() == "20071701" + "01" + "04" + np.float32(1.009).tobytes().hex() + NOON_TAG
        )  # COMM_LOST, same time

    run(talk)


def test_classes_are_read_apart_and_the_indications_say_what_waits() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(2, 0.0, 0, NOON), (0, 99.0, 0, NOON), (4, 7.0, 0, NOON)])
        answer = await rldc.ask(raw.DELAY)
        assert answer.iin == CLASS_1 | CLASS_2 | CLASS_3
        (answer,) = await rldc.read("3c0306")  # class 2
        assert answer.objects.startswith("2007") and answer.iin == CLASS_1 | CLASS_3
        (answer,) = await rldc.read("160006")  # counter events of any class
        assert answer.objects.startswith("1605") and answer.iin == CLASS_1
        (answer,) = await rldc.read("02010701")  # one binary event, without time
        assert answer.objects == "02011701" + "00" + "01" and answer.iin == 0

    run(talk)


def test_events_that_were_not_confirmed_come_again_without_loss_or_doubles() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        for value in range(100, 200, 10):
            site.port.change([(0, float(value), 0, NOON + value)])
        (answer,) = await rldc.read("3c030703", confirm=False)  # three of class 2
        assert answer.con and answer.iin & CLASS_2
        await rldc.close()
        rldc = await ready(site)
        (answer,) = await rldc.read("3c030703")
        again = await rldc.poll()
        values = [float(np.frombuffer(part, "<f4")[0]) for part in _analog_values(answer.objects + again)]
        assert values == [float(value) for value in range(100, 200, 10)]
        assert await rldc.poll() == ""

    run(talk)


def _analog_values(objects: str) -> list[bytes]:
    """Values of g32v7 blocks."""
    octets, out, at = bytes.fromhex(objects), [], 0
    while at < len(octets):
        assert octets[at : at + 2] == b"\x20\x07" and octets[at + 2] == 0x17
        out += [octets[at + 4 + 12 * i + 2 : at + 4 + 12 * i + 6] for i in range(octets[at + 3])]
        at += 4 + 12 * octets[at + 3]
    return out


def test_an_unconfirmed_answer_is_given_up_in_time_and_a_wrong_confirmation_is_none() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(2, 0.0, 0, NOON)])
        (answer,) = await rldc.read(CLASSES, confirm=False)
        wrong = Response(bytes([(answer.control + 1) & 0xFF]) + answer.octets[1:])
        await rldc.confirm(wrong)
        assert len(site.main.outstation.store) == 1
        await until(lambda: site.main.outstation.store.waiting == 1)
        assert await rldc.poll() == "02021701" + "00" + "01" + NOON_TAG

    run(talk, plan(master(parameters={"confirm_timeout_s": 0.2})))


def test_many_events_fill_fragments_and_each_is_confirmed() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(0, 10.0 * (i % 7 + 1), 0, NOON + i * 1_000_000) for i in range(1_000)])
        answers = await rldc.read(CLASSES)
        assert len(answers) == 7 and all(answer.con for answer in answers)
        assert all(len(answer.octets) <= 2048 for answer in answers)
        assert [answer.fin for answer in answers] == [False] * 6 + [True]
        await until(lambda: len(site.main.outstation.store) == 0)
        await until(lambda: site.port.confirmed.get("main") == 1_000)

    run(talk)


def test_a_read_of_65536_points_is_complete() -> None:
    count = 65_536
    points = PointCatalogue(
        names=["p"] * count, kinds=np.zeros(count, np.uint8), low=np.full(count, np.nan), high=np.full(count, np.nan)
    )
    bindings = columns([Row(row=i, type=T.AI, index=i) for i in range(count)])

    async def talk() -> None:
        async with site(plan(master(bindings=bindings)), points) as running:
            rldc = await running.connect()
            got: list[np.ndarray] = []
            for answer in await rldc.read(CLASS_0):
                octets, at = answer.octets, 4
                while at < len(octets):
                    wide = octets[at + 2] == 1
                    first, last = np.frombuffer(octets, "<u2" if wide else "u1", 2, at + 3).tolist()
                    at += 7 if wide else 5
                    assert first == sum(len(part) for part in got)
                    form = np.dtype([("flags", "u1"), ("value", "<f4")])
                    got.append(np.frombuffer(octets, form, last - first + 1, at))
                    at += 5 * (last - first + 1)
            assert np.array_equal(np.concatenate(got)["value"], np.arange(count, dtype=np.float32))

    asyncio.run(talk())


def test_what_is_confirmed_is_told_to_the_core_and_not_given_again() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(2, 0.0, 0, NOON), (2, 1.0, 0, NOON + 1_000_000)])
        await rldc.poll()
        await until(lambda: site.port.confirmed.get("main") == 2)

    run(talk)


def test_events_survive_the_process() -> None:
    async def talk() -> None:
        async with site() as running:
            running.port.change([(2, 0.0, 0, NOON), (0, 77.0, 0, NOON), (4, 9.0, 0, NOON)])
            rldc = await ready(running)
            await rldc.read("3c0306")  # class 2 is confirmed, out of the middle
            port = running.port
        port.seq = 3
        async with site(port=port, confirmed=port.confirmed) as running:
            rldc = await running.connect()
            fault, energy = "02021701" + "00" + "01" + NOON_TAG, "16051701" + "00" + "01" + "09000000" + NOON_TAG
            assert await rldc.poll() == fault + energy

    asyncio.run(talk())


def test_what_the_master_set_survives_the_process() -> None:
    async def talk() -> None:
        async with site() as running:
            rldc = await ready(running)
            running.port.set(4, 120.0, NOON)
            await rldc.ask(raw.FREEZE_CLEAR, "140006")
            await rldc.ask(raw.WRITE, "220317" + "01" + "00" + "00004842")
            await rldc.ask(raw.ASSIGN, "3c0206" + "140006")
            await rldc.poll()
            port = running.port
        port.set(4, 125.0, NOON)
        async with site(port=port) as running:
            rldc = await ready(running)
            (answer,) = await rldc.read("140006" + "150106" + "220317" + "01" + "00")
            assert answer.objects == (
                "1401000000" + "01" + "05000000" + "1501000000" + "01" + "78000000" + "2203000000" + "00004842"
            )
            (answer,) = await rldc.read("3c0206")  # it has moved by 5 since, in the class assigned
            assert answer.objects == "16051701" + "00" + "01" + "05000000" + NOON_TAG
            assert running.port.log.said("frozen values, classes and deadbands set aside") == []

    asyncio.run(talk())


def test_freezes_at_a_time_survive_the_process() -> None:
    async def talk() -> None:
        async with site() as running:
            rldc = await ready(running)
            later = (time.time_ns() // 1_000_000 + 3_600_000).to_bytes(6, "little").hex()
            await rldc.ask(raw.FREEZE_AT_TIME, "320207" + "01" + later + "e8030000" + "140006")
            await until(lambda: running.main.memory._writing is None)
            port = running.port
            (kept,) = running.main.outstation.schedules.entries
        async with site(port=port) as running:
            (entry,) = running.main.outstation.schedules.entries
            assert (entry.at_ns, entry.interval_ns) == (kept.at_ns, 1_000_000_000)
            assert entry.freeze.positions.tolist() == kept.freeze.positions.tolist()
            # As if the process had been away until long after: it is made once, at once, and goes on.
            path = port.state_dir / "dnp3" / "rldc" / "main.json"
        path.write_text(path.read_text().replace(str(kept.at_ns), str(kept.at_ns - 7_200 * 10**9)))
        port.set(4, 44.0, NOON)
        async with site(port=port) as running:
            await until(lambda: running.main.outstation.database.frozen_value.max() == 44.0)
            (entry,) = running.main.outstation.schedules.entries
            assert entry.at_ns > time.time_ns() - 2 * 10**9

    asyncio.run(talk())


def test_events_that_wait_keep_the_class_in_which_they_came_about() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(2, 0.0, 0, NOON)])
        assert (await rldc.ask(raw.ASSIGN, "3c0406" + "010006")).iin == CLASS_1  # class 3 from now on
        site.port.change([(2, 1.0, 0, NOON)])
        (answer,) = await rldc.read("3c0206")
        assert answer.objects == "02021701" + "00" + "01" + NOON_TAG
        (answer,) = await rldc.read("3c0406")
        assert answer.objects == "02021701" + "00" + "81" + NOON_TAG

    run(talk)


def test_a_value_that_changes_while_fragments_are_confirmed_is_sent_as_it_is_then() -> None:
    """Fragments are made ahead while a confirmation is waited for; a change makes them anew."""
    count = 2_000
    points = PointCatalogue.of([Point(row=row, name=f"p{row}", kind=Kind.ANALOG) for row in range(count)])
    rows = [Row(row=row, type=T.AI, index=row) for row in range(count)]

    async def talk() -> None:
        async with site(plan(master(bindings=columns(rows)), system={}), points=points) as running:
            rldc = await running.connect()
            await rldc.request(raw.READ, raw.CLASS_0)
            seen = ""
            for round_ in range(100):
                answer = await rldc.hear()
                seen += answer.objects
                if not answer.con:
                    break
                running.port.change([(count - 1, 1_000.0 + round_, 0, NOON)])
                await rldc.confirm(answer)
            assert seen.endswith("01" + np.float32(1_000.0 + round_ - 1).tobytes().hex())
            assert seen.startswith("1e0501" + "0000")

    asyncio.run(talk())


LOCAL, TROUBLE = 0x20, 0x40


def test_local_control_is_told() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        for value, quality, told in ((0.0, 0, 0), (1.0, 0, LOCAL), (0.0, int(Quality.COMM_LOST), LOCAL), (0.0, 0, 0)):
            site.port.change([(7, value, quality, NOON)])
            assert (await rldc.ask(raw.DELAY)).iin & LOCAL == told
        site.port.change([(6, 1.0, int(Quality.LOCAL_FORCED), NOON)])  # an output, forced at its device
        assert (await rldc.ask(raw.DELAY)).iin & LOCAL == LOCAL

    run(talk, plan(master(local_remote=(7, 0.0))))


def test_a_lost_device_is_told_as_trouble() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        for first, second, told in ((1.0, 1.0, 0), (1.0, 0.0, TROUBLE), (1.0, 1.0, 0)):
            site.port.change([(7, first, 0, NOON), (2, second, 0, NOON)])
            assert (await rldc.ask(raw.DELAY)).iin & TROUBLE == told
        site.port.change([(7, 1.0, int(Quality.COMM_LOST), NOON)])  # nothing is known of it
        assert (await rldc.ask(raw.DELAY)).iin & TROUBLE == TROUBLE

    run(talk, plan(master(devices=np.array([7, 2], np.uint32))))


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"CTR 0 energy": 1}', '{"CTR 0 energy": {"zero": "x"}}', '{"freezes": [{}]}', '{"freezes": 1}', "\xff"],
)
def test_a_memory_that_cannot_be_read_is_set_aside(content: str) -> None:
    port = FakePort(POINTS)
    path = port.state_dir / "dnp3" / "rldc" / "main.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("latin-1"))

    async def talk() -> None:
        async with site(port=port) as running:
            assert (await ready(running)).seq == 1
            assert len(port.log.said("frozen values, classes and deadbands set aside")) == 1

    asyncio.run(talk())
    assert path.with_suffix(".unreadable").exists() and not path.exists()


def test_an_overflow_drops_the_oldest_and_is_told_until_there_is_room() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(2, float(i % 2), 0, NOON + i * 1_000_000) for i in range(15)])
        answer = await rldc.ask(raw.DELAY)
        assert answer.iin == CLASS_1 | OVERFLOW
        (answer,) = await rldc.read(CLASSES)
        octets = bytes.fromhex(answer.objects)
        assert octets[:4].hex() == "0202170a"  # ten left, the newest
        assert int.from_bytes(octets[6:12], "little") == NOON // 1_000_000 + 5
        assert (await rldc.ask(raw.DELAY)).iin == 0
        assert len(site.port.log.said("events lost: buffer full, oldest dropped")) == 1

    run(talk, plan(master(capacity=(10, 10, 10))))


def test_what_never_reached_the_server_is_told_as_an_overflow_is() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.server.missed(250)
        assert (await rldc.ask(raw.DELAY)).iin == OVERFLOW
        for value in (1.0, 0.0):
            assert (await rldc.ask(raw.DELAY)).iin & OVERFLOW, "what is confirmed first may have been sent before"
            site.port.change([(2, value, 0, NOON)])
            assert (await rldc.read(CLASSES))[0].objects, "what comes afterwards is told as ever"
        assert (await rldc.ask(raw.DELAY)).iin == 0, "confirmed: the master knows"
        assert len(site.port.log.said("events lost: changes never reached this process")) == 1

    run(talk)


def test_the_newest_event_alone_is_kept_where_the_map_says_so() -> None:
    rows = [
        Row(row=0, type=T.AI, index=0, event_class=1, newest_only=True),
        Row(row=2, type=T.BI, index=0, event_class=1),
    ]

    async def talk(site: Site) -> None:
        rldc = await ready(site)
        for value in (1.0, 2.0, 3.0):
            site.port.change([(0, value, 0, NOON), (2, value % 2, 0, NOON)])
        answer = await rldc.poll()
        # two changes of the binary, one value of the analog, in the order in which they came about
        assert answer.count("20071701") == 1
        assert np.float32(3.0).tobytes().hex() in answer and np.float32(2.0).tobytes().hex() not in answer

    run(talk, plan(master(bindings=columns(rows))))


def test_a_stranger_is_refused_and_logged_once() -> None:
    async def talk(site: Site) -> None:
        for _ in range(2):
            stranger = await site.connect(source="127.0.0.2")
            assert await stranger.ended()
        assert len(site.port.log.said("connection refused")) == 1

    run(talk)


def test_a_frame_for_someone_else_is_not_answered() -> None:
    async def talk(site: Site) -> None:
        for keys in ({"address": 2}, {"outstation": 11}):
            other = await site.connect(**keys)
            await other.request(raw.READ, CLASS_0)
            assert await other.silent()

    run(talk)


def test_two_masters_have_their_own_maps_and_events() -> None:
    backup = master(name="backup", address=2, bindings=columns([Row(row=2, type=T.BI, index=7, event_class=3)]))

    async def talk(site: Site) -> None:
        rldc, other = await ready(site), await ready(site, address=2)
        site.port.change([(2, 0.0, 0, NOON)])
        assert await rldc.poll() == "02021701" + "00" + "01" + NOON_TAG
        assert await other.poll() == "02021701" + "07" + "01" + NOON_TAG
        (answer,) = await other.read(CLASS_0)
        assert answer.objects == "010200070701"

    run(talk, plan(master(), backup))


def test_two_outstations_answer_on_one_connection() -> None:
    second = master(name="second", outstation=11, bindings=columns([Row(row=0, type=T.AI, index=3)]))

    async def talk(site: Site) -> None:
        rldc = await site.connect()
        (answer,) = await rldc.read(CLASS_0)
        assert answer.objects == STATIC
        rldc.outstation = 11
        (answer,) = await rldc.read(CLASS_0)
        assert answer.objects == "1e0500030301" + "00000000"
        assert site.server.associations["second"].channel is site.main.channel

    run(talk, plan(master(), second))


def test_a_master_that_comes_back_is_served_at_once_and_the_dead_connection_goes() -> None:
    async def talk(site: Site) -> None:
        old = await ready(site)
        new = await site.connect()
        (answer,) = await new.read(CLASS_0)
        assert answer.objects == STATIC
        assert await old.ended()
        stray = await site.connect()  # says nothing: it takes the place of nobody
        assert (await new.read(CLASS_0))[0].objects == STATIC
        await stray.close()

    run(talk)


def test_a_silent_peer_is_asked_and_then_dropped() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        control, _ = await rldc.hear_frame()
        assert control == raw.PRM | raw.LINK_STATUS
        await rldc.say(raw.frame(raw.DIR | 11, 10, 1))
        control, _ = await rldc.hear_frame()
        assert control == raw.PRM | raw.LINK_STATUS

    run(talk, plan(master(parameters={"keep_alive_s": 0.1})))


def test_the_core_is_told_who_is_online() -> None:
    async def talk(site: Site) -> None:
        assert site.port.published[7] == 0.0
        rldc = await ready(site)
        assert site.port.published[7] == 1.0
        await rldc.close()
        await until(lambda: site.port.published[7] == 0.0)
        site.port.change([(2, 0.0, 0, NOON)])
        await until(lambda: site.port.published.get(8) == 1.0)

    run(talk)


def test_the_link_layer_answers() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        await rldc.link(raw.LINK_STATUS)
        assert (await rldc.hear_frame())[0] == 11
        await rldc.link(raw.TEST_LINK, fcb=True, fcv=True)  # before a reset: not answered
        await rldc.link(raw.RESET_LINK)
        assert (await rldc.hear_frame())[0] == 0
        request = bytes.fromhex("c0" + "c101" + CLASS_0)
        await rldc.link(raw.CONFIRMED, fcb=True, fcv=True, data=request)
        assert (await rldc.hear_frame())[0] == 0
        assert (await rldc.hear()).objects == STATIC
        await rldc.link(raw.CONFIRMED, fcb=True, fcv=True, data=request)  # the same frame count bit: a repetition
        assert (await rldc.hear_frame())[0] == 0
        assert await rldc.silent()

    run(talk)


def test_unknown_functions_objects_and_ranges_are_told() -> None:
    cases = [
        (15, "", NO_FUNCTION),  # initialize data
        (31, "", NO_FUNCTION),
        (120, "", NO_FUNCTION),
        (raw.READ, "0c0106", NO_OBJECT),  # control blocks are not read
        (raw.READ, "460106", NO_OBJECT),  # files
        (raw.READ, "1e0906", NO_OBJECT),  # g30v9
        (raw.READ, "1f0006", NO_OBJECT),  # no frozen analog is there
        (raw.READ, "1e00000909", BAD_PARAMETER),
        (raw.READ, "1e005b01", BAD_PARAMETER),  # free format
        (raw.READ, "1e000105", BAD_PARAMETER),  # cut off
        (raw.READ, "1e0000" + "0500", BAD_PARAMETER),  # the end before the start
        (raw.READ, "200000" + "0001", BAD_PARAMETER),  # events have no range
        (raw.WRITE, "1e05" + "0000" + "00" + "0100000000", NO_OBJECT),
        (raw.WRITE, "500100" + "0404" + "00", BAD_PARAMETER),
        (raw.WRITE, "500100" + "0707" + "01", BAD_PARAMETER),
        (raw.WRITE, "320107" + "02" + "000000000000" * 2, BAD_PARAMETER),
        (raw.WRITE, "320307" + "01" + "000000000000", BAD_PARAMETER),  # no time was recorded
        (raw.SELECT, "1e0506", NO_OBJECT),
        (raw.SELECT, "0c0100" + "0000" + "0301" + "00" * 9, BAD_PARAMETER),
        (raw.ENABLE, "3c0206", NO_FUNCTION),  # no unsolicited responses for this master
        (raw.COLD_RESTART, "", NO_FUNCTION),
        (raw.FREEZE, "0100" + "06", NO_OBJECT),
        (raw.ASSIGN, "010006", BAD_PARAMETER),  # no class before it
        (raw.FREEZE_AT_TIME, "140006", BAD_PARAMETER),
    ]

    async def talk(site: Site) -> None:
        rldc = await ready(site)
        for function, objects, bit in cases:
            answer = await rldc.ask(function, objects)
            assert (answer.iin, answer.objects) == (bit, ""), (function, objects, hex(answer.iin), answer.objects)
        (answer,) = await rldc.read("1e0006" + "460106" + "010006")  # what can be answered is
        assert answer.iin == NO_OBJECT and answer.objects.startswith("1e05") and "0102" in answer.objects

    run(talk)


def test_values_are_read_by_variation_range_count_and_index() -> None:
    cases = [
        ("1e0106", "1e01000001" + "0100000000" + "0101000000"),
        ("1e03000101", "1e03000101" + "01000000"),
        ("1e060701", "1e06000000" + "01" + "00" * 8),
        ("0a00280200" + "0500" + "0000", "0a0200000081" + "0a0200050581"),
        ("0a001701" + "05", "0a0200050581"),
        ("010106", "010100000001"),
        ("030106", "030100000003"),
        ("140606", "140600000004" + "00"),
        ("220006", "2203000001" + "0000a040" + "0ad7233c"),  # deadbands
        ("500106", "500100000f" + "0000"),
    ]

    async def talk(site: Site) -> None:
        rldc = await ready(site)
        for objects, expected in cases:
            (answer,) = await rldc.read(objects)
            assert (answer.objects, answer.iin) == (expected, 0), objects

    run(talk)


def test_what_has_no_flags_gives_way_to_what_has_when_there_is_something_to_say() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.set(0, 1e12, NOON)
        site.port.set(1, float("nan"), NOON)
        site.port.set(2, 1.0, NOON, int(Quality.COMM_LOST))
        (answer,) = await rldc.read("1e0306")  # 32-bit without flags
        assert answer.objects == "1e01000001" + "21" + "ffffff7f" + "20" + "00000000"
        (answer,) = await rldc.read("010106")
        assert answer.objects == "0102000000" + "84"

    run(talk)


def test_the_time_is_written_and_measured() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        assert (await rldc.ask(raw.DELAY)).iin == NEED_TIME
        answer = await rldc.ask(raw.DELAY)
        assert answer.objects == "34020701" + "0000"
        assert (await rldc.ask(raw.RECORD)).objects == ""
        answer = await rldc.ask(raw.WRITE, "320307" + "01" + NOON_TAG)  # LAN: the time at the record
        assert answer.iin == 0
        assert (await rldc.ask(raw.WRITE, "320107" + "01" + NOON_TAG)).iin == 0
        assert len((await rldc.read("320107" + "01"))[0].objects) == len("32010701") + 12

    run(talk, plan(master(parameters={"need_time_s": 3_600.0})))


def test_counters_are_frozen_at_once_and_cleared() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.set(4, 120.0, NOON)
        assert (await rldc.ask(raw.FREEZE, "140006")).objects == ""
        (answer,) = await rldc.read("3c0406")
        assert answer.objects.startswith("17051701" + "00" + "01" + "78000000")  # g23v5: 120, time of the freeze
        await rldc.request(raw.FREEZE_CLEAR_NO_ACK, "140000" + "0000")
        (answer,) = await rldc.read("140006" + "150106")
        assert answer.objects == "1401000000" + "01" + "00000000" + "1501000000" + "01" + "78000000"
        site.port.change([(4, 125.0, 0, NOON)])
        answer = (await rldc.read("160106"))[0]
        assert answer.objects == "16011701" + "00" + "01" + "05000000"
        assert (await rldc.ask(raw.FREEZE, "140000" + "0909")).iin & BAD_PARAMETER

    run(talk)


def test_counters_are_frozen_at_a_time() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.set(4, 33.0, NOON)
        # at a time long past, and once: now
        answer = await rldc.ask(raw.FREEZE_AT_TIME, "320207" + "01" + NOON_TAG + "00000000" + "140006")
        assert answer.iin in (0, CLASS_3)
        (answer,) = await rldc.read("150106")
        assert answer.objects == "1501000000" + "01" + "21000000"

    run(talk)


def test_deadbands_are_written_and_classes_assigned() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        assert (await rldc.ask(raw.WRITE, "220317" + "01" + "00" + "00004842")).iin == 0  # power: 50
        site.port.change([(0, 40.0, 0, NOON)])
        assert await rldc.poll() == ""
        assert (await rldc.ask(raw.ASSIGN, "3c0106" + "1e0000" + "0101" + "3c0406" + "010006")).iin == 0
        site.port.change([(1, 99.0, 0, NOON), (2, 0.0, 0, NOON)])
        (answer,) = await rldc.read(CLASSES)
        assert answer.objects == "02021701" + "00" + "01" + NOON_TAG
        site.port.change([(2, 1.0, 0, NOON)])
        assert (await rldc.ask(raw.DELAY)).iin == CLASS_3

    run(talk)


def test_device_attributes_and_octet_strings() -> None:
    keys = {"attributes": ((247, "bess-1"), (252, "GridGate")), "octet_strings": ("Kurnool", "")}

    async def talk(site: Site) -> None:
        rldc = await ready(site)
        (answer,) = await rldc.read("00f7000000")
        assert answer.objects == "00f7000000" + "0106" + b"bess-1".hex()
        (answer,) = await rldc.read("00fe000000")
        assert "00e9000000" + "0201" + "02" in answer.objects  # two analog inputs
        (answer,) = await rldc.read("00ff06")
        assert answer.objects.startswith("00ff000000" + "fe") and "fc00" in answer.objects
        (answer,) = await rldc.read("00c8000000")
        assert answer.iin == NO_OBJECT
        (answer,) = await rldc.read("6e0006")
        assert answer.objects == "6e07000000" + b"Kurnool".hex()

    run(talk, plan(master(parameters=keys)))


def test_a_restart_begins_the_association_anew() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        answer = await rldc.ask(raw.COLD_RESTART)
        assert answer.objects == "34020701" + "d007"
        assert (await rldc.ask(raw.DELAY)).iin == RESTART

    run(talk, plan(master(parameters={"restart": True, "restart_delay_ms": 2000})))


def test_a_broadcast_is_carried_out_and_told_in_the_next_answer() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        await rldc.request(raw.WRITE, "220317" + "01" + "00" + "00004842", dest=0xFFFF)
        answer = await rldc.ask(raw.DELAY)
        assert answer.iin == 0x01 and not answer.con
        assert (await rldc.ask(raw.DELAY)).iin == 0
        await rldc.request(raw.RECORD, dest=0xFFFE)  # must be confirmed
        answer = await rldc.ask(raw.DELAY)
        assert answer.iin == 0x01 and answer.con
        answer = await rldc.ask(raw.DELAY)
        assert answer.iin == 0x01 and answer.con
        await rldc.confirm(answer)
        assert (await rldc.ask(raw.DELAY)).iin == 0
        (answer,) = await rldc.read("220317" + "01" + "00")
        assert answer.objects == "2203000000" + "00004842"

    run(talk)


# Garbage, frames with wrong CRCs and fragments that are none, among good ones.
@pytest.mark.parametrize(
    "octets",
    [
        "00" * 8_000,
        "0564" * 4_000,
        "ff" * 20_000,
    ],
)
def test_what_is_no_dnp3_closes_its_own_connection_and_nothing_else(octets: str) -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        bad = await site.connect()
        await bad.say(bytes.fromhex(octets))
        assert await bad.ended()
        assert (await rldc.read(CLASS_0))[0].objects == STATIC

    run(talk)


@pytest.mark.parametrize(
    "octets",
    [
        "0564",
        "056405c001000a00" + "ffff",
        "056408c40a000100" + "0000",
        "deadbeef",
    ],
)
def test_a_broken_frame_is_skipped(octets: str) -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        await rldc.say(bytes.fromhex(octets))
        assert (await rldc.read(CLASS_0))[0].objects == STATIC
        for fragment in ("", "c0", "00013c0106", "d1013c0106", "c18100003c0106"):
            await rldc.fragment(bytes.fromhex(fragment) or b"\x00")
        assert (await rldc.read(CLASS_0))[0].objects == STATIC
        assert site.server.malformed or octets == "0564"

    run(talk)


def test_a_master_that_does_not_read_holds_up_nobody() -> None:
    points = PointCatalogue(
        names=["p"] * 20_000,
        kinds=np.zeros(20_000, np.uint8),
        low=np.full(20_000, np.nan),
        high=np.full(20_000, np.nan),
    )
    wide = columns([Row(row=i, type=T.AI, index=i) for i in range(20_000)])
    deaf = master(name="deaf", address=2, addresses=("127.0.0.2",), bindings=wide)

    async def talk() -> None:
        async with site(plan(master(bindings=columns([Row(row=0, type=T.AI, index=0)])), deaf), points) as running:
            rldc = await ready(running)
            other = await running.connect(address=2, source="127.0.0.2")
            # What it does not read piles up here soon, and not in the kernel first.
            other.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            flood = asyncio.create_task(_flood(other))
            for _ in range(8):
                await rldc.read(CLASS_0)
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
            assert running.server.associations["deaf"].channel is not None
            other.writer.transport.abort()

    asyncio.run(talk())


async def _flood(rldc: RawDnp3) -> None:
    while True:
        await rldc.request(raw.READ, CLASS_0)
        await asyncio.sleep(0)  # what the kernel takes at once does not make it wait


def test_octets_of_every_connection_are_left_for_the_trace() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        await rldc.close()
        await until(lambda: site.main.channel is None)
        records = site.port.trace.records("main")
        assert [record.outgoing for record in records if record.data] == [False, True]

    run(talk)


def test_no_server_without_its_journal() -> None:
    port = FakePort(POINTS)
    (port.state_dir / "journal").write_text("in the way")

    async def talk() -> None:
        with pytest.raises(OSError):
            async with site(plan(), port=port):
                pass

    asyncio.run(talk())


def test_unsolicited_plans_are_the_masters_own() -> None:
    quiet = master(name="quiet", address=2, addresses=("127.0.0.2",))
    loud = master(unsolicited=UnsolicitedPlan())

    async def talk(site: Site) -> None:
        rldc, other = await site.connect(), await site.connect(address=2, source="127.0.0.2")
        assert (await rldc.hear()).unsolicited
        assert await other.silent()

    run(talk, plan(loud, quiet))


def test_rows_of_the_kit_are_those_of_the_map() -> None:
    assert len(columns(ROWS)) == len(ROWS)
    assert POINTS.kind(0) == Kind.ANALOG
