"""A whole gateway with OPC UA: users by the command line, trust by moving a file, live values, a killed server."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from tests.kit.gateway import ENVIRONMENT, DemoSite, wait_until
from tests.kit.opcuaapp import App
from tests.kit.opcuakit import PASSWORD
from tests.kit.ports import free_ports

SERVER = """
  - name: plant-ua
    protocol: opcua
    listen: opc.tcp://127.0.0.1:{port}
    users: pki/ua_users.yaml
"""


def add_user(site: DemoSite, name: str, role: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "user", "add", str(site.site), name, "--role", role],
        input=f"{PASSWORD}\n",
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def client(url: str, app: App, user: str, server_certificate: Path) -> Client:
    made = Client(url, timeout=10)
    made.application_uri = app.uri
    await made.set_security(
        SecurityPolicyBasic256Sha256,
        str(app.der),
        str(app.pem),
        server_certificate=str(server_certificate),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    made.set_user(user)
    made.set_password(PASSWORD)
    return made


async def value(made: Client, name: str) -> Any:
    return await made.get_node(f"ns=2;s={name}").read_data_value(raise_on_bad_status=False)


def test_a_site_serves_its_points_over_opc_ua(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with DemoSite(tmp_path, dnp3=False) as site:
        text = site.site.read_text()
        site.site.write_text(text.replace("\nservers:", "\nservers:" + SERVER.format(port=port), 1))
        for name, role in (("vik", "viewer"), ("asha", "operator")):
            add_user(site, name, role)
        site.start_simulator()
        site.start()
        pki = site.state_dir / "pki" / "plant-ua"
        certificate = pki / "own" / "certificate.der"
        app = App(tmp_path / "apps", "scada")
        url = f"opc.tcp://127.0.0.1:{port}"

        async def session(user: str, *steps: Any) -> None:
            async with await client(url, app, user, certificate) as made:
                for step in steps:
                    await step(made)

        with pytest.raises((ua.UaError, ConnectionError, TimeoutError, asyncio.CancelledError)):
            asyncio.run(session("asha"))
        (rejected,) = (pki / "rejected").iterdir()
        shutil.move(rejected, pki / "trusted")

        async def reads(made: Client) -> None:
            read = await value(made, "poi/frequency")
            assert 49.0 < read.Value.Value < 51.0 and read.StatusCode.is_good()
            assert abs(time.time() - read.SourceTimestamp.timestamp()) < 60

        async def commands(made: Client) -> None:
            wanted = ua.DataValue(ua.Variant(-120.0, ua.VariantType.Double), StatusCode=None)
            await made.get_node("ns=2;s=bess1/pcs/power_setpoint").write_attribute(ua.AttributeIds.Value, wanted)

        async def is_refused(made: Client) -> None:
            with pytest.raises(ua.UaStatusCodeError) as told:
                await commands(made)
            assert told.value.code == ua.StatusCodes.BadUserAccessDenied

        asyncio.run(session("vik", reads, is_refused))
        asyncio.run(session("asha", reads, commands))
        wait_until(lambda: site.point("bess1/pcs/power_setpoint")["value"] == -120.0, "the set-point at the device")
        audit = "".join(path.read_text() for path in (site.state_dir / "audit").iterdir())
        assert "asha@127.0.0.1" in audit and '"event":"login"' in audit

        site.kill_child("opcua plant-ua")
        site.child("opcua plant-ua")
        before = certificate.read_bytes()

        def again() -> bool:
            try:
                asyncio.run(session("vik", reads))
            except (ua.UaError, OSError, TimeoutError, AssertionError):
                return False
            return True

        wait_until(again, "the server to serve again")
        assert certificate.read_bytes() == before
        assert site.stop(10.0) == 0
        log = site.log_path.read_text()
        assert "Traceback" not in log and PASSWORD not in log
