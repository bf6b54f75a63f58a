"""The broker: who may, what may, what the device said."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway.audit import AuditLog
from gateway.commanding.authority import Authority
from gateway.commands import LOCAL_SERVER, CommandBroker
from gateway.contracts.command import Action, Command, Origin, Outcome, Reason, Stage
from gateway.contracts.driver import Write, WriteLost, WriteRefused
from gateway.points import Changes, Kind, Point, PointCatalogue, Quality
from gateway.points.table import PointTable
from tests.kit.feedkit import QuietLog, until

SETPOINT, POWER, RUN, LOCAL, BARE = range(5)


def points() -> PointCatalogue:
    return PointCatalogue.of(
        [
            Point(
                row=SETPOINT,
                name="pcs/setpoint",
                kind=Kind.SETPOINT,
                unit="kW",
                low=-1000,
                high=1000,
                feedback=POWER,
                feedback_tolerance=10,
                feedback_s=0.3,
            ),
            Point(row=POWER, name="pcs/power", kind=Kind.ANALOG, unit="kW"),
            Point(row=RUN, name="pcs/run", kind=Kind.CONTROL),
            Point(row=LOCAL, name="pcs/local", kind=Kind.BINARY),
            Point(row=BARE, name="pcs/bare", kind=Kind.SETPOINT),
        ]
    )


class Site:
    """A broker with a scripted device on the other side."""

    def __init__(self, folder: Path, *, local_switch: bool = False) -> None:
        self.table = PointTable(points())
        self.log = QuietLog()
        self.written: list[Write] = []
        self.spread: list[Changes] = []
        self.commanded: list[tuple[int, int, bool]] = []
        self.device: Callable[[Write], None] | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.audit = AuditLog(folder / "audit", self.log)
        self.audit.start()
        authority = Authority(
            rights={("sldc", "main"): frozenset({SETPOINT, RUN, BARE, POWER})},
            local_row=LOCAL if local_switch else -1,
            remote_when=0.0,
        )
        self.broker = CommandBroker(
            points(),
            self.table,
            authority,
            self.write,
            lambda row, feedback, remote: self.commanded.append((row, feedback, remote)),
            self.spread.append,
            self.audit,
            self.log,
        )
        self.folder = folder

    async def write(self, write: Write) -> None:
        await self.gate.wait()
        self.written.append(write)
        if self.device is not None:
            self.device(write)

    def measure(self, row: int, value: float, quality: int = 0) -> None:
        self.table.publish(
            np.array([row], np.uint32),
            np.array([value]),
            np.array([quality], np.uint32),
            time.time_ns(),
            time.monotonic_ns(),
        )

    def ask(self, row: int, value: float, **changes: object) -> list[Outcome]:
        origin = changes.pop("origin", Origin(protocol="iec104", server="sldc", master="main", peer="10.0.0.1"))
        facts: dict[str, object] = {
            "id": 1,
            "row": row,
            "value": value,
            "action": Action.EXECUTE,
            "origin": origin,
            "deadline_ns": time.time_ns() + 2_000_000_000,
        }
        heard: list[Outcome] = []
        self.broker.submit(Command(**(facts | changes)), heard.append)
        return heard

    def records(self) -> list[dict]:
        self.audit.stop()
        return [
            json.loads(line) for file in (self.folder / "audit").iterdir() for line in file.read_text().splitlines()
        ]


def scenario(test: Callable[[Site], object], folder: Path, **facts: bool) -> None:
    async def run() -> None:
        site = Site(folder, **facts)
        try:
            await test(site)
        finally:
            await site.broker.stop()
            site.audit.stop()

    asyncio.run(run())


def test_confirmed_after_acceptance_and_done_after_device_and_feedback(tmp_path):
    async def talk(site: Site):
        site.measure(POWER, 0)
        heard = site.ask(SETPOINT, 500)
        assert [outcome.stage for outcome in heard] == [Stage.ACCEPTED]
        await until(lambda: site.written != [])
        await asyncio.sleep(0.05)
        assert len(heard) == 1, "the device has acknowledged, the power has not followed yet"
        site.measure(POWER, 495)
        await until(lambda: len(heard) == 2)
        assert heard[1].stage is Stage.COMPLETED
        assert site.commanded == [(SETPOINT, POWER, True)]
        steps = [(record["step"], record["point"], record["value"]) for record in site.records()]
        assert steps == [("accepted", "pcs/setpoint", 500), ("completed", "pcs/setpoint", 500)]

    scenario(talk, tmp_path)


def test_a_feedback_that_was_right_before_the_write_proves_nothing(tmp_path):
    async def talk(site: Site):
        site.measure(POWER, 500)
        heard = site.ask(SETPOINT, 500)
        await until(lambda: len(heard) == 2)
        assert (heard[1].stage, heard[1].reason) == (Stage.FAILED, Reason.FEEDBACK)

    scenario(talk, tmp_path)


def test_a_feedback_of_bad_quality_does_not_agree(tmp_path):
    async def talk(site: Site):
        site.device = lambda write: site.measure(POWER, 500, Quality.INVALID)
        heard = site.ask(SETPOINT, 500)
        await until(lambda: len(heard) == 2)
        assert heard[1].reason is Reason.FEEDBACK
        assert "invalid" in heard[1].text

    scenario(talk, tmp_path)


@pytest.mark.parametrize(
    ("row", "value", "changes", "reason"),
    [
        (99, 1, {}, Reason.UNKNOWN_POINT),
        (POWER, 1, {}, Reason.NOT_COMMANDABLE),
        (SETPOINT, 1000.1, {}, Reason.OUT_OF_RANGE),
        (SETPOINT, math.nan, {}, Reason.OUT_OF_RANGE),
        (BARE, math.inf, {}, Reason.OUT_OF_RANGE),
        (RUN, 2, {}, Reason.OUT_OF_RANGE),
        (RUN, 1, {"test": True}, Reason.TEST),
        (RUN, 1, {"deadline_ns": 1}, Reason.EXPIRED),
        (RUN, 1, {"origin": Origin(protocol="iec104", server="sldc", master="other")}, Reason.NOT_AUTHORISED),
        (POWER, 1, {"action": Action.SUBSTITUTE}, Reason.NOT_AUTHORISED),
    ],
)
def test_what_may_not_be_is_refused_and_nothing_is_written(tmp_path, row, value, changes, reason):
    async def talk(site: Site):
        heard = site.ask(row, value, **changes)
        assert [(outcome.stage, outcome.reason) for outcome in heard] == [(Stage.REFUSED, reason)]
        assert heard[0].text
        await asyncio.sleep(0.01)
        assert site.written == []
        assert [record["step"] for record in site.records()] == ["refused"]

    scenario(talk, tmp_path)


def test_a_server_that_refuses_by_itself_and_gives_no_words_is_told_in_words(tmp_path):
    async def talk(site: Site):
        (outcome,) = site.ask(SETPOINT, 5.0, refusal=Reason.NOT_AUTHORISED)
        assert (outcome.reason, outcome.text) == (Reason.NOT_AUTHORISED, "not authorised")
        assert [record["text"] for record in site.records()] == ["not authorised"]

    scenario(talk, tmp_path)


def test_the_panel_switch_says_local_or_nothing(tmp_path):
    async def talk(site: Site):
        assert site.ask(RUN, 1)[0].reason is Reason.LOCAL, "not known yet: a doubt means no"
        site.measure(LOCAL, 1)
        assert site.ask(RUN, 1)[0].reason is Reason.LOCAL
        person = Origin(protocol="cli", server=LOCAL_SERVER, master="asha")
        assert site.ask(RUN, 1, origin=person)[0].reason is Reason.LOCAL, "who is at the panel has it alone"
        site.measure(LOCAL, 0, Quality.COMM_LOST)
        assert site.ask(RUN, 1)[0].reason is Reason.LOCAL
        site.measure(LOCAL, 0)
        heard = site.ask(RUN, 1)
        await until(lambda: len(heard) == 2)
        assert heard[1].stage is Stage.COMPLETED

    scenario(talk, tmp_path, local_switch=True)


def test_one_command_in_flight_per_point(tmp_path):
    async def talk(site: Site):
        site.gate.clear()
        first = site.ask(BARE, 1)
        assert site.ask(BARE, 2)[0].reason is Reason.BUSY
        other = site.ask(RUN, 1)
        site.gate.set()
        await until(lambda: len(first) == 2 and len(other) == 2)
        assert [write.value for write in site.written if write.row == BARE] == [1]
        assert len(site.ask(BARE, 3)) == 1

    scenario(talk, tmp_path)


def test_a_newer_set_point_takes_the_place_of_one_whose_power_is_still_moving(tmp_path):
    async def talk(site: Site):
        first = site.ask(SETPOINT, 100)
        await until(lambda: len(site.written) == 1)
        await asyncio.sleep(0.02)
        second = site.ask(SETPOINT, 200)
        await until(lambda: len(site.written) == 2)
        await asyncio.sleep(0.02)
        site.measure(POWER, 200)
        await until(lambda: len(first) == 2 and len(second) == 2)
        assert first[1].reason is Reason.SUPERSEDED
        assert second[1].stage is Stage.COMPLETED

    scenario(talk, tmp_path)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (WriteRefused("exception 3 (illegal data value)"), Reason.DEVICE_REFUSED),
        (WriteLost("no answer within 500 ms"), Reason.DEVICE_LOST),
        (ZeroDivisionError("a fault of the driver"), Reason.DEVICE_LOST),
    ],
)
def test_what_the_device_says_is_what_the_asker_hears(tmp_path, fault, reason):
    async def talk(site: Site):
        def refuse(write: Write) -> None:
            raise fault

        site.device = refuse
        heard = site.ask(BARE, 1)
        await until(lambda: len(heard) == 2)
        assert (heard[1].stage, heard[1].reason) == (Stage.FAILED, reason)
        assert str(fault) in heard[1].text
        assert len(site.ask(BARE, 1)) == 1, "the point is free again"

    scenario(talk, tmp_path)


def test_a_device_that_says_nothing_ends_at_the_deadline(tmp_path):
    async def talk(site: Site):
        site.gate.clear()
        heard = site.ask(BARE, 1, deadline_ns=time.time_ns() + 50_000_000)
        await until(lambda: len(heard) == 2)
        assert heard[1].reason is Reason.TIMEOUT

    scenario(talk, tmp_path)


def test_a_person_forces_blocks_and_releases(tmp_path):
    async def talk(site: Site):
        person = Origin(protocol="cli", server=LOCAL_SERVER, master="asha")
        site.measure(POWER, 7)
        site.ask(POWER, 55, action=Action.SUBSTITUTE, origin=person)
        assert site.table.value[POWER] == 55
        site.ask(POWER, 0, action=Action.RELEASE, origin=person)
        assert site.table.value[POWER] == 7
        site.ask(POWER, 0, action=Action.BLOCK, origin=person)
        site.measure(POWER, 9)
        assert site.table.value[POWER] == 7
        site.ask(POWER, 0, action=Action.UNBLOCK, origin=person)
        assert site.table.value[POWER] == 9
        assert len(site.spread) == 4
        assert [record["origin"] for record in site.records()] == ["cli local/asha"] * 4

    scenario(talk, tmp_path)


def test_what_cannot_be_recorded_is_not_done(tmp_path):
    async def talk(site: Site):
        (tmp_path / "audit").rmdir()
        (tmp_path / "audit").write_text("in the way")
        site.ask(RUN, 2)
        await until(lambda: not site.audit.healthy)
        assert site.ask(RUN, 1)[0].stage is Stage.REFUSED
        assert site.written == []
        (tmp_path / "audit").unlink()

    scenario(talk, tmp_path)


def test_a_stopping_gateway_answers_what_is_in_flight(tmp_path):
    async def talk(site: Site):
        site.gate.clear()
        heard = site.ask(BARE, 1)
        await asyncio.sleep(0)
        await site.broker.stop()
        assert (heard[1].stage, heard[1].reason) == (Stage.FAILED, Reason.CORE_LOST)

    scenario(talk, tmp_path)


def test_an_action_on_an_alarm_is_carried_out_by_whoever_takes_it_for_who_may_command_anything(tmp_path):
    async def talk(site: Site):
        taken: list[Command] = []
        ask = {"action": Action.ACKNOWLEDGE, "subject": "pcs/power/hh", "text": "seen"}
        assert site.ask(-1, 0, **ask)[0].reason is Reason.NOT_COMMANDABLE, "nobody takes it yet"

        def take(command: Command) -> tuple[Reason, str] | None:
            taken.append(command)
            return None if command.subject == "pcs/power/hh" else (Reason.UNKNOWN_POINT, "there is no such alarm")

        site.broker.handle([Action.ACKNOWLEDGE], take)
        assert [outcome.stage for outcome in site.ask(-1, 0, **ask)] == [Stage.ACCEPTED, Stage.COMPLETED]
        assert site.ask(-1, 0, **ask | {"subject": "no/such"})[0].text == "there is no such alarm"
        stranger = Origin(protocol="iec104", server="sldc", master="other")
        assert site.ask(-1, 0, **ask, origin=stranger)[0].reason is Reason.NOT_AUTHORISED
        assert site.ask(-1, 0, **ask, deadline_ns=1)[0].reason is Reason.EXPIRED
        assert [command.subject for command in taken] == ["pcs/power/hh", "no/such"]
        done = site.records()[1]
        assert (done["subject"], done["comment"], done["step"]) == ("pcs/power/hh", "seen", "acknowledge")

    scenario(talk, tmp_path)


def test_a_command_point_of_the_gateway_itself_needs_no_device(tmp_path):
    async def talk(site: Site):
        taken: list[Command] = []
        site.broker.handle_point(RUN, taken.append)
        assert [outcome.stage for outcome in site.ask(RUN, 1)] == [Stage.ACCEPTED, Stage.COMPLETED]
        assert (len(taken), site.written) == (1, [])

    scenario(talk, tmp_path)
