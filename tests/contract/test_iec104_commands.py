"""Commands of an IEC 104 master: confirmed, refused, terminated, selected first. The core is the test's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.contracts import Command, OnOutcome, Outcome, Reason, Stage
from tests.contract.server_suite import until
from tests.kit.iec104kit import (
    EXECUTE_SC,
    EXECUTE_SE,
    NOON_TAG,
    SELECT_SC,
    SELECT_SE,
    Site,
    main_master,
    plan,
    refuse,
    run,
    said,
)
from tests.peers.raw104 import asdu


@pytest.mark.parametrize(
    ("request_asdu", "row", "value"),
    [
        (EXECUTE_SC, 6, 1.0),
        (asdu(45, 6, 1, 6001, "00"), 6, 0.0),
        (asdu(46, 6, 1, 6002, "02"), 10, 1.0),
        (asdu(48, 6, 1, 7002, "00c000"), 5, -500.0),  # -0.5 of -1000..1000
        (asdu(49, 6, 1, 7003, "9cff00"), 5, -100.0),
        (asdu(50, 6, 1, 7004, "0000c04200"), 5, 96.0),
        (asdu(63, 6, 1, 7004, "0000c04200" + NOON_TAG), 5, 96.0),
    ],
)
def test_a_command_is_confirmed_and_terminated(request_asdu: bytes, row: int, value: float) -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(request_asdu)
        confirmed, terminated = await master.hear_i(), await master.hear_i()
        assert said(confirmed) == (request_asdu[0], 7, False)
        assert said(terminated) == (request_asdu[0], 10, False)
        assert confirmed.asdu[4:] == terminated.asdu[4:] == request_asdu[4:]
        [command] = site.port.commands.received
        assert (command.row, command.value, command.origin.master) == (row, value, "main")
        assert command.deadline_ns > command.received_ns

    run(talk)


def accept_and_fail(command: Command, tell: OnOutcome) -> None:
    tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
    tell(Outcome(id=command.id, stage=Stage.FAILED, reason=Reason.DEVICE_REFUSED))


def fail(command: Command, tell: OnOutcome) -> None:
    tell(Outcome(id=command.id, stage=Stage.FAILED, reason=Reason.CORE_LOST))


def complete(command: Command, tell: OnOutcome) -> None:
    tell(Outcome(id=command.id, stage=Stage.COMPLETED))


@pytest.mark.parametrize(
    ("script", "answers"),
    [
        (refuse, [(45, 7, True)]),
        (fail, [(45, 7, True)]),
        (accept_and_fail, [(45, 7, False), (45, 10, True)]),
        (complete, [(45, 7, False), (45, 10, False)]),
    ],
)
def test_the_brokers_answer_is_the_masters(script: Any, answers: list[tuple[int, int, bool]]) -> None:
    async def talk(site: Site) -> None:
        site.port.commands.script = script
        master = await site.master()
        await master.send(EXECUTE_SC)
        assert [said(await master.hear_i()) for _ in answers] == answers
        assert await master.silent()

    run(talk)


def test_a_late_result_reaches_only_the_link_that_asked() -> None:
    async def talk(site: Site) -> None:
        pending: list[tuple[Command, OnOutcome]] = []
        site.port.commands.script = lambda command, tell: pending.append((command, tell))
        first = await site.master()
        await first.send(EXECUTE_SC)
        await until(lambda: bool(pending))
        second = await site.master()
        command, tell = pending[0]
        tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
        tell(Outcome(id=command.id, stage=Stage.COMPLETED))
        assert await second.silent()

    run(talk)


@pytest.mark.parametrize(
    "request_asdu",
    [
        asdu(45, 6 | 0x80, 1, 6001, "01"),  # test bit: never to the field
        asdu(45, 6, 1, 6001, "11"),  # qualifier 4 is reserved
        asdu(46, 6, 1, 6002, "00"),  # double command state 0
        asdu(46, 6, 1, 6002, "82"),  # select where only direct is allowed
        asdu(50, 6, 1, 7001, "0000c04200"),  # direct where select is demanded
        asdu(50, 6, 1, 7004, "0000c07f00"),  # NaN
        asdu(50, 6, 1, 7004, "0000807f00"),  # infinity
        asdu(50, 6, 1, 7004, "0000c04201"),  # reserved qualifier of set-point
        asdu(63, 6, 1, 7004, "0000c04200" + "9b4e0d164e0017"),  # a time that is none
        asdu(45, 8, 1, 6001, "01"),  # deselect of what is not selected
    ],
)
def test_a_command_that_may_not_be_is_confirmed_negative(request_asdu: bytes) -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(request_asdu)
        frame = await master.hear_i()
        assert frame.negative
        assert frame.cause in (7, 9)
        assert frame.test == bool(request_asdu[2] & 0x80)
        assert site.port.commands.received == []
        assert len(site.port.commands.refused) == 1  # for the audit

    run(talk)


def test_a_master_without_the_right_is_confirmed_negative() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(EXECUTE_SC)
        assert said(await master.hear_i()) == (45, 7, True)
        assert site.port.commands.received == []

    run(talk, plan(main_master(commands=False)))


@pytest.mark.parametrize(
    ("says", "hears", "reaches"),
    [
        ([SELECT_SE, EXECUTE_SE], ["7", "7 10"], [96.0]),
        ([SELECT_SE, EXECUTE_SE, EXECUTE_SE], ["7", "7 10", "-7"], [96.0]),
        ([SELECT_SE, asdu(50, 6, 1, 7001, "0000c14200")], ["7", "-7"], []),  # another value
        ([SELECT_SE, asdu(50, 6, 1, 7001, "0000c14200"), EXECUTE_SE], ["7", "-7", "-7"], []),  # and the select is gone
        ([SELECT_SE, asdu(50, 6, 1, 7001, "0000c04200", oa=5)], ["7", "-7"], []),  # another originator
        ([SELECT_SE, asdu(50, 8, 1, 7001, "0000c04280"), EXECUTE_SE], ["7", "9", "-7"], []),
        ([SELECT_SC, asdu(45, 6, 1, 6001, "00")], ["7", "-7"], []),  # off instead of on
        ([SELECT_SC, asdu(45, 6, 1, 6001, "05")], ["7", "-7"], []),  # short pulse instead of none
        ([SELECT_SC, EXECUTE_SC], ["7", "7 10"], [1.0]),
    ],
)
def test_select_before_execute(says: list[bytes], hears: list[str], reaches: list[float]) -> None:
    """`hears`: the causes of the answers to each request, with a minus for P/N."""

    async def talk(site: Site) -> None:
        master = await site.master()
        for request_asdu, answers in zip(says, hears, strict=True):
            await master.send(request_asdu)
            frames = [await master.hear_i() for _ in answers.split()]
            assert " ".join("-" * frame.negative + str(frame.cause) for frame in frames) == answers
        assert [command.value for command in site.port.commands.received] == reaches
        assert [command.action for command in site.port.commands.selects][:1] == ["select"]

    run(talk)


def test_a_select_expires_and_dies_with_its_link() -> None:
    async def talk(site: Site) -> None:
        master = await site.master()
        await master.send(SELECT_SE)
        await master.hear_i()
        await asyncio.sleep(0.15)
        await master.send(EXECUTE_SE)
        assert said(await master.hear_i()) == (50, 7, True)
        await master.send(SELECT_SE)
        await master.hear_i()
        await master.close()
        again = await site.master()
        await again.send(EXECUTE_SE)
        assert said(await again.hear_i()) == (50, 7, True)

    run(talk, plan(select_timeout_s=0.1))
