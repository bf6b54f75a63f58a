"""What a server has refused itself reaches the audit by way of the broker, and nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from gateway.contracts.command import Action, Command, Origin, Outcome, Reason, Stage
from gateway.feed.commandwire import command_from, command_to
from tests.unit.core.test_broker import RUN, Site


def refused(action: Action = Action.EXECUTE) -> Command:
    return Command(
        id=1,
        row=RUN,
        value=1.0,
        action=action,
        origin=Origin(protocol="iec104", server="sldc", master="main", peer="10.0.0.1"),
        deadline_ns=time.time_ns() + 10**10,
        refusal=Reason.NOT_SELECTED,
        refusal_text="no select stands",
    )


def test_a_refused_command_is_recorded_and_not_written(tmp_path: Path) -> None:
    async def play() -> None:
        site, heard = Site(tmp_path), list[Outcome]()
        site.broker.submit(refused(), heard.append)
        await asyncio.sleep(0)
        await site.broker.stop()
        site.audit.stop()
        assert [(outcome.stage, outcome.reason) for outcome in heard] == [(Stage.REFUSED, Reason.NOT_SELECTED)]
        assert site.written == []
        [path] = (tmp_path / "audit").glob("*.jsonl")
        [record] = map(json.loads, path.read_text().splitlines())
        assert (record["step"], record["reason"], record["text"]) == ("refused", "not selected", "no select stands")

    asyncio.run(play())


def test_a_select_and_a_cancel_are_recorded_and_end_at_once(tmp_path: Path) -> None:
    async def play() -> None:
        site, heard = Site(tmp_path), list[Outcome]()
        for action in (Action.SELECT, Action.CANCEL):
            command = refused(action)
            fields = {name: getattr(command, name) for name in command.__slots__}
            site.broker.submit(Command(**{**fields, "refusal": Reason.OK, "refusal_text": ""}), heard.append)
        await site.broker.stop()
        site.audit.stop()
        assert [outcome.stage for outcome in heard] == [Stage.ACCEPTED, Stage.COMPLETED] * 2
        assert site.written == []
        [path] = (tmp_path / "audit").glob("*.jsonl")
        assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == ["select", "cancel"]

    asyncio.run(play())


def test_the_refusal_travels_the_feed() -> None:
    command = refused()
    assert command_from(json.loads(json.dumps(command_to(command)))) == command


def test_a_command_of_an_older_worker_carries_none() -> None:
    wire = command_to(refused())
    del wire["refusal"], wire["refusal_text"]
    assert command_from(wire).refusal is Reason.OK
