"""Commands through the broker, against mosquitto and independent clients. The core is the test's."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts import Command, OnOutcome, Outcome, Reason, Stage
from tests.contract.server_suite import FakePort, until
from tests.kit.mqttkit import Broker, Peer, needs_mosquitto
from tests.kit.mqttstory import NOON, play, points_of

COMMANDS = {"commands": True}


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    needs_mosquitto()
    with Broker(tmp_path / "broker") as running:
        yield running


def answers(peer: Peer) -> list[dict[str, Any]]:
    said = (json.loads(payload) for payload in peer.on("vpp/status/north"))
    return [each for each in said if each["type"] == "answer"]


def order(**keys: Any) -> str:
    return json.dumps({"id": "17", "point": "bess/setpoint", "value": 250, "time": time.time(), **keys})


def test_a_command_is_carried_out_and_each_step_answered(broker: Broker) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        peer.say("vpp/commands/north", order())
        await until(lambda: len(answers(peer)) == 2)
        (command,) = port.commands.received
        assert (command.row, command.value, command.origin.protocol) == (2, 250.0, "mqtt")
        assert [(each["id"], each["stage"]) for each in answers(peer)] == [("17", "accepted"), ("17", "completed")]
        peer.say("vpp/commands/north/bess/setpoint", "-12.5")
        await until(lambda: len(port.commands.received) == 2)
        assert port.commands.received[1].value == -12.5

    play(broker, story, **COMMANDS)


def test_a_command_that_fails_says_why(broker: Broker) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        def script(command: Command, tell: OnOutcome) -> None:
            tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
            tell(Outcome(id=command.id, stage=Stage.FAILED, reason=Reason.DEVICE_LOST, text="no answer"))

        port.commands.script = script
        peer.say("vpp/commands/north", order())
        await until(lambda: len(answers(peer)) == 2)
        assert (answers(peer)[1]["stage"], answers(peer)[1]["reason"]) == ("failed", "device does not answer")

    play(broker, story, **COMMANDS)


def test_a_repeated_command_is_carried_out_once(broker: Broker) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        text = order()
        for _ in range(3):
            peer.say("vpp/commands/north", text)
        peer.say("vpp/commands/north", order(id="18"))
        await until(lambda: len(answers(peer)) >= 6)
        assert len(port.commands.received) == 2
        stages = [(each["id"], each["stage"]) for each in answers(peer)]
        assert stages[:4] == [("17", "accepted"), *[("17", "completed")] * 3], "told again how it ended"

    play(broker, story, **COMMANDS)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"late_s": 3600}, "too late"),
        ({"late_s": -3600}, "too late"),
        ({"time": "yesterday"}, "too late"),
        ({"point": "bess/nothing"}, "unknown point"),
        ({"value": "much"}, "out of range"),
        ({"colour": "red"}, "not commandable"),
        ("{", "not commandable"),
        ("[1]", "not commandable"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_in_words(broker: Broker, wrong: Any, reason: str) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        late_s = wrong.get("late_s") if isinstance(wrong, dict) else None
        keys = {"time": time.time() - late_s} if late_s else wrong
        peer.say("vpp/commands/north", order(**keys) if isinstance(keys, dict) else wrong)
        await until(lambda: bool(answers(peer)))
        assert (answers(peer)[0]["stage"], answers(peer)[0]["reason"]) == ("refused", reason)
        assert answers(peer)[0]["text"]
        assert not port.commands.received

    play(broker, story, **COMMANDS)


def test_a_retained_command_is_none(broker: Broker) -> None:
    with Peer(broker.port) as early:
        early.say("vpp/commands/north", order(), retain=True)
        time.sleep(0.1)

    async def story(port: FakePort, peer: Peer) -> None:
        peer.say("vpp/commands/north", order(id="later", value=1))
        await until(lambda: len(answers(peer)) == 2)
        assert [command.value for command in port.commands.received] == [1.0]

    play(broker, story, **COMMANDS)


def test_without_commands_nothing_is_subscribed(broker: Broker) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        peer.say("vpp/commands/north", order())
        port.change([(0, 1.0, 0, NOON)])
        await until(lambda: bool(points_of(peer)))
        assert not port.commands.received and not port.commands.refused

    play(broker, story)


def test_a_row_that_is_not_to_be_commanded_is_refused(broker: Broker) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        peer.say("vpp/commands/north", order())
        await until(lambda: bool(answers(peer)))
        assert answers(peer)[0]["reason"] == "not authorised" and port.commands.refused

    play(broker, story, "point,command\npoi/power,\nbess/setpoint,false\n", **COMMANDS)
