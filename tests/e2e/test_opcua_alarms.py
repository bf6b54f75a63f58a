"""OPC UA alarms and history through the whole gateway: a client, the broker with its audit, the historian's store."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from tests.kit.gateway import DemoSite, wait_until
from tests.kit.opcuaapp import App
from tests.kit.opcuakit import PASSWORD, users
from tests.kit.ports import free_ports

HOT = "bess1/pcs/cabinet_temp_a/h"
CONDITION = ua.NodeId("bess1/pcs/cabinet_temp_a|h", 2)
ACKNOWLEDGE = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)


class Heard:
    """Events as asyncua gives them."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def event_notification(self, event: Any) -> None:
        self.events.append(event)

    def of(self, name: str) -> list[Any]:
        return [event for event in self.events if getattr(event, "ConditionName", "") == name]


def site(folder: Path) -> tuple[DemoSite, App, int]:
    """The demo site with an OPC UA server and a history."""
    demo, [port] = DemoSite(folder, dnp3=False), free_ports(1)
    users(folder / "users.yaml")
    text = demo.site.read_text()
    server = (
        f"servers:\n  - name: plant-ua\n    protocol: opcua\n    listen: opc.tcp://127.0.0.1:{port}\n"
        f"    users: {folder / 'users.yaml'}\n"
    )
    text = re.sub(r"^history:.*?(?=^\S)", "", text, flags=re.MULTILINE | re.DOTALL)
    demo.site.write_text(text.replace("servers:", server, 1).replace("servers:   ", "servers:") + "\nhistory: {}\n")
    app = App(folder / "apps", "client")
    trusted = demo.state_dir / "pki" / "plant-ua" / "trusted"
    trusted.mkdir(parents=True)
    (trusted / "client.der").write_bytes(app.der.read_bytes())
    return demo, app, port


async def connected(demo: DemoSite, app: App, port: int, user: str) -> Client:
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

    made = Client(f"opc.tcp://127.0.0.1:{port}", timeout=60)
    made.application_uri = app.uri
    own = demo.state_dir / "pki" / "plant-ua" / "own" / "certificate.der"
    await made.set_security(
        SecurityPolicyBasic256Sha256,
        str(app.der),
        str(app.pem),
        server_certificate=str(own),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    made.set_user(user)
    made.set_password(PASSWORD)
    await made.connect()
    return made


async def until(condition: Any, what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what, 60.0)


def acknowledgements(demo: DemoSite) -> list[tuple[str, str, str]]:
    lines = [line for path in (demo.state_dir / "audit").glob("*") for line in path.read_text().splitlines()]
    found = [record for record in map(json.loads, lines) if record.get("action") == "acknowledge"]
    return [(record["subject"], record["step"], record["origin"].rpartition(":")[0]) for record in found]


def test_a_client_acknowledges_through_the_broker_and_reads_the_history(tmp_path: Path) -> None:
    demo, app, port = site(tmp_path)
    with demo:
        demo.start_simulator()
        demo.start()
        begin = datetime.now(UTC)

        async def talk() -> None:
            operator = await connected(demo, app, port, "operator")
            viewer = await connected(demo, app, port, "viewer")
            try:
                heard = Heard()
                subscription = await operator.create_subscription(50, heard)
                await subscription.subscribe_events(
                    operator.get_node(ua.NodeId(ua.ObjectIds.Server)),
                    [ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)],
                )
                await asyncio.to_thread(demo.cli, "force", "bess1/pcs/cabinet_temp_a", "75")
                await until(lambda: heard.of(HOT), "the alarm as an event")
                comment = ua.Variant(ua.LocalizedText("seen"), ua.VariantType.LocalizedText)
                event_id = ua.Variant(heard.of(HOT)[-1].EventId, ua.VariantType.ByteString)
                with pytest.raises(ua.UaStatusCodeError) as refused:
                    await viewer.get_node(CONDITION).call_method(ACKNOWLEDGE, event_id, comment)
                assert refused.value.code == ua.StatusCodes.BadUserAccessDenied
                await operator.get_node(CONDITION).call_method(ACKNOWLEDGE, event_id, comment)
                await until(lambda: len(heard.of(HOT)) == 2, "the acknowledgement as an event")
                acked = await (await operator.get_node(CONDITION).get_child(["0:AckedState", "0:Id"])).read_value()
                assert acked is True
                await _read_history(operator, begin)
            finally:
                await operator.disconnect()
                await viewer.disconnect()

        asyncio.run(talk())
        wait_until(lambda: len(acknowledgements(demo)) == 2, "the audit")
        assert acknowledgements(demo) == [
            (HOT, "refused", "opcua plant-ua/viewer from viewer@127.0.0.1"),
            (HOT, "acknowledge", "opcua plant-ua/operator from operator@127.0.0.1"),
        ]
        shown = {alarm["alarm"]: alarm for alarm in map(json.loads, demo.cli("alarms", "--json").stdout.splitlines())}
        assert (shown[HOT]["state"], shown[HOT]["text"]) == ("acknowledged", "seen")


async def _read_history(client: Client, begin: datetime) -> None:
    """The historian commits in steps: what was forced is there after a while."""
    node = client.get_node("ns=2;s=bess1/pcs/cabinet_temp_a")
    async with asyncio.timeout(30):
        while True:
            end = datetime.now(UTC) + timedelta(seconds=1)
            values = await node.read_raw_history(begin - timedelta(minutes=1), end, 0, return_bounds=False)
            if any(value.Value.Value == 75.0 for value in values):
                return
            await asyncio.sleep(0.2)
