"""Counts and pulses that a DNP3 master commands. The core behind the server is the test's."""

from __future__ import annotations

import pytest

from gateway.contracts import Pulse, Reason
from tests.contract.server_suite import accept_and_complete, until
from tests.kit.dnp3kit import Site, run
from tests.kit.dnp3orders import (
    ACTIVE,
    HARDWARE,
    LATCH_OFF,
    LATCH_ON,
    LATER,
    PULSE_ON,
    SUCCESS,
    crob,
    done,
    fail,
    heard,
    keep,
    statuses,
)
from tests.peers import rawdnp3 as raw


@pytest.mark.parametrize("objects", [crob(5, PULSE_ON, count=0), crob(0, LATCH_ON, count=0), crob(5, 0x20)])
def test_a_count_of_none_and_a_clear_alone_operate_nothing(objects: str) -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        assert statuses((await rldc.ask(raw.DIRECT, objects)).objects) == [SUCCESS]
        assert site.port.commands.received == site.port.commands.refused == []

    run(talk)


def test_a_count_is_so_many_pulses_one_after_the_other_and_one_answer() -> None:
    kept: LATER = []

    async def talk(site: Site) -> None:
        site.port.commands.script = keep(kept)
        rldc = await site.connect()
        three = crob(5, PULSE_ON, count=3, on_ms=10, off_ms=10)
        await rldc.request(raw.DIRECT, three)
        for number in (1, 2, 3):
            await until(lambda number=number: len(site.port.commands.received) == number)  # type: ignore[misc]
            await rldc.again(raw.DIRECT, three)  # a repetition adds no pulse
            assert await rldc.silent(0.05)
            assert len(site.port.commands.received) == number
            done(kept)
        assert statuses((await rldc.hear()).objects) == [SUCCESS]
        assert await rldc.silent(0.1)
        assert heard(site) == [(10, 1.0, Pulse.SHORT)] * 3

    run(talk)


def test_a_pulse_that_fails_ends_its_train() -> None:
    async def talk(site: Site) -> None:
        site.port.commands.script = fail(Reason.DEVICE_REFUSED)
        rldc = await site.connect()
        answer = await rldc.ask(raw.DIRECT, crob(5, PULSE_ON, count=3, off_ms=1))
        assert statuses(answer.objects) == [HARDWARE]
        assert await rldc.silent(0.1) and len(heard(site)) == 1

    run(talk)


def test_pulses_still_to_come_forbid_another_operation_and_a_clear_gives_them_up() -> None:
    kept: LATER = []

    async def talk(site: Site) -> None:
        site.port.commands.script = keep(kept)
        rldc = await site.connect()
        await rldc.request(raw.DIRECT, crob(5, PULSE_ON, count=9, off_ms=60_000))
        await until(lambda: len(kept) == 1)
        done(kept)  # the next one would come in a minute
        assert statuses((await rldc.ask(raw.DIRECT, crob(5, LATCH_ON))).objects) == [ACTIVE]
        assert (await rldc.read(raw.CLASS_0))[0].objects  # nothing else waits for it
        await rldc.request(raw.DIRECT, crob(5, 0x20 | LATCH_OFF))
        await until(lambda: len(kept) == 1)
        done(kept)
        assert statuses((await rldc.hear()).objects) == [SUCCESS]
        assert heard(site) == [(10, 1.0, Pulse.SHORT), (10, 0.0, Pulse.DEFAULT)]
        site.port.commands.script = accept_and_complete
        assert statuses((await rldc.ask(raw.DIRECT, crob(5, LATCH_ON))).objects) == [SUCCESS]

    run(talk)
