"""Logins that are guessed, forged or not offered, and what is on record of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.crypto import security_policies

from tests.kit.opcuaattacks import causes, refused, witnessed
from tests.kit.opcuakit import PASSWORD, Plant, client, running


def test_guessing_passwords_is_locked_out(tmp_path: Path) -> None:
    """Evidence 6: the right password does not help while the address waits; nobody is told why."""

    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            app = plant.app("guesser")
            for guess in range(5):
                assert await refused(await client(plant, app, password=f"guess {guess}")) == "BadUserAccessDenied"
            assert await refused(await client(plant, app, password=PASSWORD)) == "BadUserAccessDenied"
            assert "locked for" in causes(plant, "login refused")
            assert PASSWORD not in str(plant.log.lines) and "guess 1" not in str(plant.log.lines)

    asyncio.run(scenario())


@pytest.mark.parametrize(("user", "password"), [("admin", ""), ("nobody", PASSWORD), ("viewer", "")])
def test_unknown_users_and_empty_passwords(tmp_path: Path, user: str, password: str) -> None:
    """Evidence 6: stock asyncua lets `admin` in without a password."""

    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            assert await refused(await client(plant, plant.app(), user=user, password=password))

    asyncio.run(scenario())


def test_anonymous_clients_are_not_let_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            assert await refused(await client(plant, plant.app(), user=""))

    asyncio.run(scenario())


def test_policies_that_are_not_offered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path, policies=("Basic256Sha256",), modes=(3,))) as plant:
            app = plant.app()
            for policy, mode in (("Aes256_Sha256_RsaPss", 3), ("Basic256Sha256", 2)):
                made = await client(plant, app, policy=policy, mode=mode)
                await made.connect_socket()
                await made.send_hello()
                with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
                    await made.open_secure_channel()
                made.disconnect_socket()
            old = Client(plant.url)
            await old.set_security(
                security_policies.SecurityPolicyBasic128Rsa15,
                str(app.der),
                str(app.pem),
                server_certificate=str(plant.pki / "own" / "certificate.der"),
            )
            await old.connect_socket()
            await old.send_hello()
            with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
                await old.open_secure_channel()
            old.disconnect_socket()
            assert "is not offered" in causes(plant, "connection closed")

    asyncio.run(scenario())


def test_who_logs_in_and_who_is_refused_is_on_record(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        async with running(plant):
            app = plant.app()
            async with await client(plant, app):
                pass
            assert await refused(await client(plant, app, password="a guess"))
            assert await refused(await client(plant, plant.app("stranger", trusted=False)))
        (file,) = (plant.port.state_dir / "audit").glob("opcua-ua-*.jsonl")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["event"] for line in lines] == ["login", "login refused", "connection closed"]
        assert lines[0]["user"] == "operator" and lines[1]["client"] == "client" and "stranger" in lines[2]["cause"]
        assert "guess" not in file.read_text()

    asyncio.run(scenario())
