"""Selects, return information, clocks, what outlives the server, and several masters at once, over TCP."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from gateway.points import PointCatalogue
from protocols.iec104.clock import ClockSync
from protocols.iec104.plan import BindingColumns, ClockTrust, MasterPlan
from tests.contract.server_suite import accept_and_complete, until
from tests.kit.iec104kit import (
    EXECUTE_SE,
    NOON,
    NOON_TAG,
    ROWS,
    SELECT_SE,
    SIZES,
    Site,
    columns,
    main_master,
    plan,
    refuse,
    run,
    said,
    seen,
    site,
)
from tests.peers.raw104 import asdu


def test_a_select_that_the_broker_refuses_is_confirmed_negative() -> None:
    async def talk(site: Site) -> None:
        site.port.commands.script = refuse
        master = await site.master()
        await master.send(SELECT_SE)
        assert said(await master.hear_i()) == (50, 7, True)
        site.port.commands.script = accept_and_complete
        await master.send(EXECUTE_SE)
        assert said(await master.hear_i()) == (50, 7, True)
        assert site.port.commands.received == []

    run(talk)


def test_what_a_command_changed_is_return_information() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        site.server.commanded(6, 2, True)  # a master switched `run`; `fault` shows the effect
        site.port.change([(2, 0.0, 0, NOON), (2, 1.0, 0, NOON)])
        assert [said(await master.hear_i()) for _ in range(2)] == [(30, 11, False), (30, 3, False)]
        site.server.commanded(6, 2, False)
        site.port.change([(2, 0.0, 0, NOON)])
        assert said(await master.hear_i()) == (30, 12, False)

    run(talk)


def test_the_end_of_initialisation_is_told_after_a_start() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        frames = [await master.hear(), await master.hear()]
        assert [(*said(frame), frame.ca) for frame in frames] == [(70, 4, False, 1), (70, 4, False, 2)]
        await master.acknowledge()
        await until(lambda: site.server.groups["main"].station.announcements() == [])
        again = await site.master()
        assert await again.silent()

    run(talk, plan(end_of_initialisation=True))


def test_parameters_and_counters_outlive_the_server() -> None:
    async def talk() -> None:
        async with site() as first:
            master = await first.master()
            await master.send(asdu(112, 6, 1, 4001, "00007a4401"))  # P_ME_NC: a threshold of 1000
            assert said(await master.hear_i()) == (112, 7, False)
            await master.send(asdu(101, 6, 1, 0, "85"))  # freeze and reset
            await master.collect((101, 10))
            state_dir = first.port.state_dir
            await master.close()
            await first.server.stop()
            async with site(state_dir=state_dir) as second:
                again = await second.master()
                await again.send(asdu(101, 6, 1, 0, "05"))
                assert seen(await again.collect((101, 10)), SIZES) == {(1, 5001): "0400000001"}
                second.port.change([(0, 900.0, 0, NOON), (4, 7.0, 0, NOON)])
                frames = [await again.hear_i(), await again.hear_i()]
                # power at ca 1 stays inside the threshold, its other binding does not; the counter counts from 4
                assert [frame.type_id for frame in frames] == [11, 37]
                assert frames[1].objects(12)[0][1][:5].hex() == "0300000001"

    asyncio.run(talk())


def test_a_memory_that_cannot_be_read_is_set_aside() -> None:
    async def talk() -> None:
        folder = Path(tempfile.mkdtemp())
        memory = folder / "iec104" / "sldc" / "main.json"
        memory.parent.mkdir(parents=True)
        memory.write_text('{"version": 1, "counters": 5}')
        try:
            async with site(state_dir=folder) as running:
                assert len(running.port.log.said("parameters and counters set aside")) == 1
                assert (await (await running.master()).silent()) is True
            assert memory.with_suffix(".unreadable").exists()
        finally:
            shutil.rmtree(folder)

    asyncio.run(talk())


def test_a_clock_that_may_not_be_set_is_confirmed_negative_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(time_ns: int) -> None:
        raise PermissionError("not the owner of the clock")

    monkeypatch.setattr("protocols.iec104.server.set_system_clock", refused)

    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(asdu(103, 6, 1, 0, NOON_TAG))
        assert said(await master.hear_i()) == (103, 7, True)
        [line] = site.port.log.said("clock not set")
        assert line["cause"] == "not the owner of the clock"

    run(talk, plan(main_master(clock=True), clock_sync=ClockSync.SYSTEM))


def test_a_clock_is_set_and_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr("protocols.iec104.server.set_system_clock", given.append)

    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(asdu(103, 6, 1, 0, NOON_TAG))
        assert said(await master.hear_i()) == (103, 7, False)
        assert given == [NOON]

    run(talk, plan(main_master(clock=True), clock_sync=ClockSync.SYSTEM))


def test_a_moved_event_clock_is_logged_once_per_move() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        for _ in range(3):
            await master.send(asdu(103, 6, 1, 0, NOON_TAG))
            assert said(await master.hear_i()) == (103, 7, False)
        [line] = site.port.log.said("event clock moved")
        assert line["master"] == "main"

    run(talk, plan(main_master(clock=True), clock_sync=ClockSync.OFFSET))


@pytest.mark.parametrize(("trusted", "minute"), [(True, 0x0D), (False, 0x8D)])
def test_time_tags_follow_the_kernels_word(trusted: bool, minute: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.iec104.systemclock.kernel_synchronised", lambda: trusted)

    async def talk(site: Site) -> None:
        master = await site.master()
        site.port.change([(2, 0.0, 0, NOON)])
        assert (await master.hear_i()).objects(8)[0][1][3] == minute
        assert len(site.port.log.said("clock not synchronised: time tags are marked invalid")) == (not trusted)

    run(talk, plan(clock_trusted=ClockTrust.KERNEL))


def test_three_masters_with_their_own_maps_one_of_them_stalled() -> None:
    """Main hears what is beyond its deadband, the second all of one point, the third reads nothing at all."""
    second = MasterPlan(name="second", addresses=("127.0.0.2",), bindings=columns([ROWS[11]]))
    stalled = main_master(name="stalled", addresses=("127.0.0.3",), capacity=1_000)

    async def talk(site: Site) -> None:
        main, other = await site.master(), await site.master(source="127.0.0.2")
        await site.master(source="127.0.0.3")  # says nothing and reads nothing any more
        heard_main, heard_other = 0, 0
        for turn in range(50):
            base = 10.0 * (turn + 1)
            site.port.change([(1, base + i / 50, 0, NOON) for i in range(50)] + [(0, base % 900, 0, NOON)])
            while heard_main < 52 * (turn + 1):  # power is bound twice
                heard_main += (await main.hear_i()).count
            while heard_other < turn + 1:
                heard_other += (await other.hear_i()).count
        groups = site.server.groups
        assert (heard_main, heard_other) == (2_600, 50)
        assert (len(groups["stalled"].station.queue), groups["stalled"].station.queue.lost) == (1_000, 1_600)
        assert groups["main"].station.queue.lost == groups["second"].station.queue.lost == 0

    run(talk, plan(main_master(), second, stalled))


def test_an_event_passes_an_interrogation_of_100000_points() -> None:
    """It comes within the open window and a frame, however much is left to send."""
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
            master = await running.master()
            await master.send(asdu(100, 6, 1, 0, "14"))
            worst = frames = 0
            for event in range(20):
                running.port.change([(event, 1.0 + event, 0, NOON)])
                sent = 0
                while (await master.hear_i()).type_id != 36:
                    sent += 1
                worst, frames = max(worst, sent), frames + sent
            assert worst <= 2 * 12 + 8
            assert frames < count // 30

    asyncio.run(talk())
