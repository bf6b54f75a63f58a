"""A master on TCP and our outstation: what each says, in order. The core behind the server is the test's."""

from __future__ import annotations

import asyncio

import numpy as np

from gateway.points import Kind, Point, PointCatalogue, Quality
from protocols.dnp3.plan import UnsolicitedPlan
from protocols.dnp3.pointtypes import PointType as T
from tests.contract.server_suite import until
from tests.kit.dnp3kit import NOON, NOON_TAG, POINTS, ROWS, Row, Site, columns, master, plan, run, site
from tests.kit.dnp3words import CLASS_1, CLASS_2, CLASS_3, OVERFLOW, RESTART, STATIC, ready
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0, CLASSES, INTEGRITY, Response


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
