"""node-opcua, the independent client, against alarms: events, refresh, acknowledge, confirm, shelve."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.kit.conditionkit import DOOR, HOT, OPEN, TEMP, ConditionSite
from tests.kit.opcuakit import PASSWORD, Plant, running

PEER = Path(__file__).parents[1] / "peers" / "nodeopcua"
CONDITION = "ns=2;s=bess1/temp|hh"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (PEER / "node_modules" / "node-opcua-client").is_dir(),
    reason="node-opcua-client is not installed: make test does it where npm is present",
)


class Node:
    """node-opcua's client in its process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, do: str, **keys: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **keys}).encode() + b"\n")
        async with asyncio.timeout(60):
            answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        assert answer["ok"], answer
        return answer


@contextlib.asynccontextmanager
async def node_client(plant: Plant, folder: Path, user: str = "operator") -> AsyncIterator[Node]:
    """Connected, with a subscription."""
    app = plant.app("node")
    certificate = folder / "node.crt"
    certificate.write_bytes(app.certificate.public_bytes(Encoding.PEM))
    process = await asyncio.create_subprocess_exec(
        "node",
        str(PEER / "alarms.js"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 24,
    )
    try:
        node = Node(process)
        await node.ask(
            "connect",
            **{"url": plant.url, "certificate": str(certificate), "key": str(app.pem), "pki": str(folder / "node-pki")},
            **{"uri": app.uri, "user": user, "password": PASSWORD},
        )
        yield node
    finally:
        assert process.stdin
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_node_opcua_follows_alarms_and_acts_on_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        site = ConditionSite(tmp_path)
        async with running(site.plant), node_client(site.plant, tmp_path) as node:
            site.told((DOOR, 1))
            assert (await node.ask("listen", node="i=2253", type="AlarmConditionType"))["status"] == "Good"
            site.told((TEMP, 61.5))
            [hot] = (await node.ask("heard", count=1))["events"]
            assert (hot["ConditionName"], hot["Severity"], hot["ConditionId"]) == (HOT, 900, CONDITION)
            assert (hot["ActiveState.Id"], hot["AckedState.Id"], hot["LimitState.CurrentState"]) == (
                True,
                False,
                "HighHigh",
            )
            assert hot["Message"] == "Cell temperature very high: above 60 degC"

            await node.ask("refresh")
            events = (await node.ask("heard", count=5))["events"][1:]
            assert [event["EventType"] for event in (events[0], events[-1])] == ["ns=0;i=2787", "ns=0;i=2788"]
            assert {event["ConditionName"] for event in events[1:-1]} == {HOT, OPEN}

            done = await node.ask("acknowledge", condition=CONDITION, event=hot["EventId"], text="seen by node")
            assert done["status"] == "Good"
            again = await node.ask("acknowledge", condition=CONDITION, event=hot["EventId"], text="")
            assert again["status"] == "BadConditionBranchAlreadyAcked"
            acked = (await node.ask("heard", count=6))["events"][-1]
            assert (acked["AckedState.Id"], acked["ConfirmedState.Id"]) == (True, False)
            assert (site.asked[0].text, site.asked[0].origin.master) == ("seen by node", "operator")
            commented = await node.ask("comment", condition=CONDITION, event=acked["EventId"], text="pump is coming")
            assert commented["status"] == "Good"
            site.told((TEMP, 20))
            last = (await node.ask("heard", count=8))["events"][-1]
            confirmed = await node.ask("confirm", condition=CONDITION, event=last["EventId"], text="")
            assert confirmed["status"] == "Good"
            assert site.story.record(HOT).plain

            shelving, minute = f"{CONDITION}.ShelvingState", [{"type": "Double", "value": 60_000}]
            shelved = await node.ask("call", object=shelving, method="i=2949", arguments=minute)
            assert (shelved["status"], site.story.state(HOT)) == ("Good", "shelved")
            taken_off = await node.ask("call", object=CONDITION, method=f"{shelving}.Unshelve")
            assert (taken_off["status"], site.story.state(HOT)) == ("Good", "normal")
            await node.ask("disconnect")

    asyncio.run(scenario())


def test_a_viewer_sees_and_may_not_act(tmp_path: Path) -> None:
    async def scenario() -> None:
        site = ConditionSite(tmp_path)
        async with running(site.plant), node_client(site.plant, tmp_path, user="viewer") as node:
            await node.ask("listen", node="ns=2;s=|Devices/bms", type="ExclusiveLevelAlarmType")
            site.told((TEMP, 61), (DOOR, 1))
            [hot] = (await node.ask("heard", count=1))["events"]
            refused = await node.ask("acknowledge", condition=CONDITION, event=hot["EventId"], text="")
            assert (refused["status"], site.story.state(HOT)) == ("BadUserAccessDenied", "unacknowledged")

    asyncio.run(scenario())
