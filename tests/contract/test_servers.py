"""A master on TCP and our controlled station: what each says, in order. The core behind the server is the test's."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.points import PointCatalogue, Quality
from protocols.iec104.plan import BindingColumns, MasterPlan
from protocols.iec104.server import Iec104Server
from tests.contract.server_suite import FakePort, until
from tests.kit.iec104kit import (
    NOON,
    NOON_TAG,
    POINTS,
    ROWS,
    SIZES,
    Site,
    columns,
    main_master,
    plan,
    run,
    said,
    seen,
    site,
)
from tests.peers.raw104 import TESTFR_ACT, TESTFR_CON, asdu


def test_station_interrogation_is_complete_and_untimed() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(asdu(100, 6, 1, 0, "14", oa=9))
        frames = await master.collect((100, 10))
        assert said(frames[0]) == (100, 7, False)
        assert said(frames[-1]) == (100, 10, False)
        assert {frame.originator for frame in frames} == {9}
        assert {frame.cause for frame in frames[1:-1]} == {20}
        assert seen(frames, SIZES) == {
            (1, 1001): "01",  # value 2 of a binary: on
            (1, 2001): "03",
            (1, 4001): "0000000000",
            (1, 4002): "0000803f00",
        }

    run(talk)


def test_groups_and_counters_are_interrogated_apart() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(asdu(100, 6, 1, 0, "15"))  # QOI 21: group 1
        frames = await master.collect((100, 10))
        assert list(seen(frames, SIZES)) == [(1, 4001), (1, 4002)]
        assert {frame.cause for frame in frames[1:-1]} == {21}
        await master.send(asdu(101, 6, 1, 0, "05"))
        frames = await master.collect((101, 10))
        assert seen(frames, SIZES) == {(1, 5001): "0400000000"}
        assert frames[1].cause == 37
        await master.send(asdu(101, 6, 1, 0, "45"))  # freeze
        assert [said(await master.hear_i()) for _ in range(2)] == [(101, 7, False), (101, 10, False)]
        site.port.change([(4, 99.0, 0, NOON)])
        await master.hear_i()
        await master.send(asdu(101, 6, 1, 0, "05"))
        assert seen(await master.collect((101, 10)), SIZES) == {(1, 5001): "0400000001"}

    run(talk)


def test_every_station_answers_the_broadcast_address() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(asdu(100, 6, 0xFFFF, 0, "14"))
        frames = await master.collect((100, 10)) + await master.collect((100, 10))
        assert [frame.ca for frame in frames if frame.cause == 7] == [1, 2]
        assert [frame.ca for frame in frames if frame.cause == 10] == [1, 2]
        assert (2, 1) in seen(frames, SIZES)

    run(talk)


def test_an_interrogation_of_100000_points_is_complete() -> None:
    count = 100_000
    rows = np.arange(count, dtype=np.uint32)
    bindings = BindingColumns(
        row=rows,
        ca=np.ones(count, np.uint16),
        ioa=rows * 2 + 1,
        event_type=np.full(count, 36, np.uint8),
        static_type=np.full(count, 13, np.uint8),
        group=np.zeros(count, np.uint8),
        limit=np.full(count, np.nan),
        cyclic_s=np.zeros(count, np.float32),
        mode=np.zeros(count, np.uint8),
    )
    points = PointCatalogue(
        names=[""] * count, kinds=np.zeros(count, np.uint8), low=np.full(count, np.nan), high=np.full(count, np.nan)
    )

    async def talk() -> None:
        async with site(plan(main_master(bindings=bindings)), points) as running:
            running.port.table.value[:] = rows
            master = await running.master()
            await master.send(asdu(100, 6, 1, 0, "14"))
            got: list[np.ndarray] = []
            while (frame := await master.hear_i()).cause != 10:
                if frame.type_id == 13:
                    objects = np.frombuffer(frame.asdu[6:], np.dtype([("ioa", "u1", 3), ("v", "<f4"), ("q", "u1")]))
                    got.append(objects)
            answers = np.concatenate(got)
            ioas = answers["ioa"].astype(np.uint32) @ np.array([1, 256, 65_536], np.uint32)
            assert np.array_equal(ioas, rows * 2 + 1)
            assert np.array_equal(answers["v"], rows.astype(np.float32))

    asyncio.run(talk())


def test_a_change_is_told_with_its_source_time() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        site.port.change([(0, 42.5, 0, NOON), (2, 0.0, int(Quality.SUBSTITUTED), NOON)])
        power, again, fault = await master.hear_i(), await master.hear_i(), await master.hear_i()
        # M_ME_TF_1, one object, spontaneous, ca 1, ioa 4001, 42.5, good
        assert power.asdu.hex() == "240103000100" + "a10f00" + "00002a42" + "00" + NOON_TAG
        # the same point is bound a second time, scaled and without time, at common address 2
        assert again.asdu.hex() == "0b0103000200" + "010000" + "2a00" + "00"
        assert (said(fault), fault.objects(8)) == ((30, 3, False), [(1001, bytes.fromhex("20" + NOON_TAG))])

    run(talk)


def test_a_move_inside_the_deadband_is_not_told_but_its_quality_is() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        site.port.change([(1, 1.009, 0, NOON)])
        site.port.change([(1, 1.009, int(Quality.NOT_TOPICAL), NOON)])
        frame = await master.hear_i()
        assert frame.objects(12) == [(4002, np.float32(1.009).tobytes() + bytes.fromhex("40" + NOON_TAG))]

    run(talk)


def test_many_events_share_asdus_in_their_order() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        site.port.change([(1, float(i), 0, NOON + i * 1_000_000) for i in range(2, 42)])
        frames = [await master.hear_i() for _ in range(3)]
        assert [frame.count for frame in frames] == [16, 16, 8]
        values = [np.frombuffer(element[:4], "<f4")[0] for frame in frames for _, element in frame.objects(12)]
        assert values == list(range(2, 42))

    run(talk)


def test_one_object_per_asdu_where_the_master_wants_it() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        site.port.change([(1, 10.0, 0, NOON), (1, 20.0, 0, NOON)])
        assert [(await master.hear_i()).count for _ in range(2)] == [1, 1]

    run(talk, plan(main_master(objects_per_asdu=1)))


def test_events_wait_for_a_master_and_survive_a_cut_without_loss_or_doubles() -> None:
    async def talk(site: Site) -> None:
        site.port.change([(1, float(i), 0, NOON) for i in range(100, 1100)])
        heard: list[float] = []
        for _ in range(40):
            master = await site.master()
            master.acknowledging = False
            try:
                for _ in range(3):
                    frame = await master.hear_i(0.3)
                    heard += [float(np.frombuffer(e[:4], "<f4")[0]) for _, e in frame.objects(12)]
            except TimeoutError:
                break
            finally:
                await master.acknowledge()
                await master.say(TESTFR_ACT)
                while (await master.hear()).raw.hex() != TESTFR_CON:
                    pass
                await master.close()
                await until(lambda: site.server.groups["main"].active is None)
        await until(lambda: site.port.confirmed.get("main") == site.port.seq)
        once = dict.fromkeys(heard)
        assert list(once) == [float(i) for i in range(100, 1100)]

    run(talk)


def test_the_core_is_told_what_is_on_disk_acknowledged_or_not() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        master.acknowledging = False
        site.port.change([(2, 0.0, 0, NOON)])
        await master.hear_i()
        await until(lambda: site.port.confirmed.get("main") == 1)
        await master.close()
        other = await site.master()
        assert [element[0] for _, element in (await other.hear_i()).objects(8)] == [0], "it is still to be confirmed"

    run(talk)


def test_records_confirmed_before_a_restart_are_not_told_again() -> None:
    async def talk() -> None:
        port = FakePort(POINTS)
        server = Iec104Server(plan(), port)
        port.server = server
        server.resume({"main": 2})
        port.change([(2, 1.0, 0, NOON), (2, 0.0, 0, NOON), (2, 1.0, 0, NOON), (2, 0.0, 0, NOON)])
        await server.start()
        running = Site(port, server)
        master = await running.master()
        frame = await master.hear_i()
        assert [element[0] for _, element in frame.objects(8)] == [1, 0]
        assert await master.silent()
        await running.end()

    asyncio.run(talk())


def test_an_overflow_drops_the_oldest_and_is_told() -> None:
    async def talk(site: Site) -> None:
        site.port.change([(1, float(i), 0, NOON) for i in range(100, 120)])
        master = await site.master()
        frame = await master.hear_i()
        assert [float(np.frombuffer(e[:4], "<f4")[0]) for _, e in frame.objects(12)] == list(range(110, 120))
        await until(lambda: site.port.published.get(9) == 10.0)
        assert len(site.port.log.said("events lost: buffer full, oldest dropped")) == 1

    run(talk, plan(main_master(capacity=10)))


def test_what_never_reached_the_server_is_told_as_an_overflow_is() -> None:
    async def talk(site: Site) -> None:
        site.server.missed(250)
        await until(lambda: site.port.published.get(9) == 250.0)
        assert len(site.port.log.said("events lost: changes never reached this process")) == 1
        master = await site.master()
        site.port.change([(1, 7.0, 0, NOON)])
        assert (await master.hear_i()).objects(12), "what comes afterwards is told as ever"

    run(talk, plan(main_master(capacity=10)))


def test_two_masters_have_their_own_events() -> None:
    other = MasterPlan(name="other", addresses=("127.0.0.2",), bindings=columns(ROWS[:1]))

    async def talk(site: Site) -> None:
        main, second = await site.master(), await site.master(source="127.0.0.2")
        site.port.change([(1, 10.0, 0, NOON), (2, 0.0, 0, NOON)])
        assert (await second.hear_i()).type_id == 30
        assert [(await main.hear_i()).type_id for _ in range(2)] == [36, 30]

    run(talk, plan(main_master(), other))


@pytest.mark.parametrize(
    ("request_asdu", "cause"),
    [
        (asdu(122, 13, 1, 0, "00"), 44),  # F_SC: files
        (asdu(1, 3, 1, 1001, "01"), 44),  # a monitored type from a master
        (asdu(100, 3, 1, 0, "14"), 45),
        (asdu(45, 5, 1, 6001, "01"), 45),
        (asdu(100, 6, 7, 0, "14"), 46),
        (asdu(45, 6, 0xFFFF, 6001, "01"), 46),
        (asdu(100, 6, 1, 5, "14"), 47),
        (asdu(45, 6, 1, 6999, "01"), 47),
        (asdu(46, 6, 1, 6001, "01"), 47),
        (asdu(102, 5, 1, 9999), 47),
        (asdu(102, 5, 1, 6001), 47),
    ],
)
def test_what_is_unknown_is_mirrored_with_its_cause(request_asdu: bytes, cause: int) -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(request_asdu)
        frame = await master.hear_i()
        assert said(frame) == (request_asdu[0], cause, True)
        assert frame.asdu[4:] == request_asdu[4:]

    run(talk)


def test_read_clock_and_test_command() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(asdu(102, 5, 1, 4002, oa=3))
        read = await master.hear_i()
        assert (said(read), read.originator, read.objects(5)) == (
            (13, 5, False),
            3,
            [(4002, bytes.fromhex("0000803f00"))],
        )
        await master.send(asdu(103, 6, 1, 0, NOON_TAG))
        assert said(await master.hear_i()) == (103, 7, False)
        await master.send(asdu(103, 6, 1, 0, "9b4e0d164e0017"))  # month 0
        assert said(await master.hear_i()) == (103, 7, True)
        await master.send(asdu(104, 6, 1, 0, "aa55"))
        assert said(await master.hear_i()) == (104, 7, False)
        await master.send(asdu(104, 6, 1, 0, "0000"))
        assert said(await master.hear_i()) == (104, 7, True)
        await master.send(asdu(107, 6, 1, 0, "0700" + NOON_TAG))
        answer = await master.hear_i()
        assert (said(answer), answer.asdu[9:].hex()) == ((107, 7, False), "0700" + NOON_TAG)

    run(talk)


def test_cyclic_points_come_by_themselves() -> None:
    rows = [(0, 1, 1, "M_ME_TF_1", 0, float("nan"), 0.1, 0)]

    async def talk(site: Site) -> None:
        master = await site.master()
        for _ in range(2):
            assert said(await master.hear_i()) == (13, 1, False)

    run(talk, plan(main_master(bindings=columns(rows))))


@pytest.mark.parametrize(
    "octets",
    [
        "00",  # no start octet
        "6803",  # too short
        "680a00000000670106000100",  # C_CS with an ASDU of 6 octets: no ioa
        "680e00000000670106000100000000 01".replace(" ", ""),  # C_CS with a short CP56
        "680e0000000064020600010000000014",  # two objects announced, one there
        "680e0000000064000600010000000014",  # no object
        "680d00000000680106000100000000",  # test command without its pattern
        "680e00000200640106000100000000 14".replace(" ", ""),  # acknowledges what was not sent
        "680e0200000064010600010000000014",  # N(S) 1 before 0
    ],
)
def test_a_malformed_frame_closes_its_own_connection_and_nothing_else(octets: str) -> None:
    async def talk(site: Site) -> None:
        good, bad = await site.master(), await site.master(source="127.0.0.2")
        await bad.say(octets)
        assert await bad.ended()
        [line] = site.port.log.said("connection closed")
        assert line["master"] == "other"
        site.port.change([(2, 0.0, 0, NOON)])
        assert (await good.hear_i()).type_id == 30

    run(talk, plan(main_master(), main_master(name="other", addresses=("127.0.0.2",))))


def test_an_interrogation_and_events_share_the_window() -> None:
    rows = [(0, 1, ioa, "M_ME_TF_1", 0, float("nan"), 0.0, 0) for ioa in range(1, 4000, 2)]
    rows.append((2, 1, 5000, "M_SP_TB_1", 0, float("nan"), 0.0, 0))

    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(asdu(100, 6, 1, 0, "14"))
        await master.hear_i()
        site.port.change([(2, 0.0, 0, NOON)])
        frames = await master.collect((100, 10))
        assert [frame.type_id for frame in frames].index(30) < 30 < len(frames)

    run(talk, plan(main_master(bindings=columns(rows))))


def test_a_started_interrogation_can_be_deactivated() -> None:
    rows = [(0, 1, ioa, "M_ME_TF_1", 0, float("nan"), 0.0, 0) for ioa in range(1, 4000, 2)]

    async def talk(site: Site) -> None:
        master = await site.master()
        master.acknowledging = False
        await master.send(asdu(100, 6, 1, 0, "14"))
        await master.hear_i()
        await master.send(asdu(100, 6, 1, 0, "14"))  # a second one while it runs is refused
        await master.send(asdu(100, 8, 1, 0, "14"))
        for _ in range(11):
            await master.hear_i()
        await master.acknowledge()
        answers = [await master.hear_i(), await master.hear_i()]
        assert [said(frame) for frame in answers] == [(100, 7, True), (100, 9, False)]
        assert await master.silent()

    run(talk, plan(main_master(bindings=columns(rows))))
