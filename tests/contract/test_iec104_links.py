"""Links of an IEC 104 master: who may come, which one is served, what ends them. The core is the test's."""

from __future__ import annotations

from protocols.iec104.connection import ApciParameters
from tests.contract.server_suite import until
from tests.kit.iec104kit import NOON, Site, main_master, plan, run
from tests.peers.raw104 import STOPDT_ACT, STOPDT_CON, TESTFR_ACT


def test_the_core_is_told_who_is_online() -> None:
    async def talk(site: Site) -> None:
        assert site.port.published[7] == 0.0
        master = await site.master()
        assert site.port.published[7] == 1.0
        await master.close()
        await until(lambda: site.port.published[7] == 0.0)

    run(talk)


def test_startdt_on_another_link_moves_the_events_there() -> None:
    async def talk(site: Site) -> None:
        first, second = await site.master(), await site.connect()
        first.acknowledging = False
        site.port.change([(1, 10.0, 0, NOON), (1, 20.0, 0, NOON)])
        await first.hear_i()
        await second.start()
        again = await second.hear_i()
        assert again.count == 2
        await first.acknowledge()  # too late: the events are the second link's now
        site.port.change([(1, 30.0, 0, NOON)])
        assert (await second.hear_i()).count == 1
        assert await first.silent()
        assert site.server.groups["main"].station.queue.in_flight == 3

    run(talk)


def test_no_events_after_stopdt() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.say(STOPDT_ACT)
        assert (await master.hear()).raw.hex() == STOPDT_CON
        site.port.change([(1, 10.0, 0, NOON)])
        assert await master.silent()

    run(talk)


def test_a_stranger_is_refused_and_logged_once() -> None:
    async def talk(site: Site) -> None:
        for _ in range(3):
            assert await (await site.connect(source="127.0.0.9")).ended()
        assert len(site.port.log.said("connection refused")) == 1

    run(talk)


def test_a_link_too_many_is_refused_and_the_others_are_tested() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        assert await (await site.connect()).ended()
        assert (await master.hear()).raw.hex() == TESTFR_ACT

    run(talk, plan(main_master(links=1)))


def test_a_silent_peer_is_closed_after_t1() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        master.acknowledging = False
        site.port.change([(1, 10.0, 0, NOON)])
        assert await master.ended()
        [line] = site.port.log.said("connection closed")
        assert "t1" in str(line["cause"])
        assert (await (await site.master()).hear_i()).count == 1

    run(talk, plan(apci=ApciParameters(t1_s=0.2, t2_s=0.1, t3_s=5)))


def test_a_master_that_does_not_read_holds_up_nobody() -> None:
    other = main_master(name="other", addresses=("127.0.0.2",), capacity=500)

    async def talk(site: Site) -> None:
        main, _stalled = await site.master(), await site.master(source="127.0.0.2")
        total = 0
        for i in range(20):
            site.port.change([(1, float(1000 * i + j), 0, NOON) for j in range(2, 102)])
            while total < 100 * (i + 1):
                total += (await main.hear_i()).count
        assert len(site.server.groups["other"].station.queue) == 500
        assert site.server.groups["main"].station.queue.lost == 0

    run(talk, plan(main_master(), other))
