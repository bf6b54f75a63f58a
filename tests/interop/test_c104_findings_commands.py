"""What was found wrong with the commands of c104 as a server: each shown right in ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.contracts import Command, OnOutcome, Outcome, Reason, Stage
from tests.contract.server_suite import until
from tests.kit.findings104 import MAP, POWER, events, numbers, real, run, said
from tests.kit.station104 import Station
from tests.peers.raw104 import asdu


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
