"""node-opcua, the independent client: discovery, every policy and mode, users, renewal of the channel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.contract.server_suite import until
from tests.kit.opcuakit import POLICIES, Plant, running
from tests.peers.nodeopcua_client import node_client


def test_discovery_and_every_policy_and_mode(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        app = plant.app()
        async with running(plant), node_client(tmp_path) as node:
            found = await node.done("endpoints", url=plant.url, pki=str(tmp_path / "node-pki"))
            assert {(e["policy"], e["mode"]) for e in found["endpoints"]} == {(p, m) for p in POLICIES for m in (2, 3)}
            assert found["servers"] == [plant.plan.application_uri]
            for policy in POLICIES:
                for mode in (2, 3):
                    answer = await node.connect(plant, app, policy=policy, mode=mode)
                    assert answer["ok"], (policy, mode, answer)
                    read = await node.done("read", nodes=["i=2259"])
                    assert read["values"][0]["status"] == "Good"
                    assert "Server" in (await node.done("browse", node="i=85"))["names"]
                    await node.done("disconnect")
        assert len(plant.said("login")) == 2 * len(POLICIES)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("user", "password", "word"),
    [("operator", "wrong", "BadUserAccessDenied"), ("nobody", "wrong", "BadUserAccessDenied"), ("", "", "")],
    ids=["wrong password", "unknown user", "anonymous"],
)
def test_who_is_not_let_in(tmp_path: Path, user: str, password: str, word: str) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        async with running(plant), node_client(tmp_path) as node:
            answer = await node.connect(plant, plant.app(), user=user, password=password)
            assert not answer["ok"] and word in answer["error"]

    asyncio.run(scenario())


def test_the_channel_is_renewed_under_the_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        async with running(plant), node_client(tmp_path) as node:
            assert (await node.connect(plant, plant.app(), lifetime_ms=2000))["ok"]
            host = plant.server.host
            assert host is not None
            (session,) = host.sessions
            assert session.home is not None
            channel = session.home.channel
            first = channel.newest_token
            await until(lambda: channel.newest_token >= first + 2)
            assert (await node.done("read", nodes=["i=2259"]))["values"][0]["status"] == "Good"
            await node.done("disconnect")
        assert not plant.said("connection closed")

    asyncio.run(scenario())


def test_a_user_by_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        person, stranger = plant.app("person", trusted=False), plant.app("stranger", trusted=False)
        plant.give_certificate("engineer", person)
        async with running(plant), node_client(tmp_path) as node:
            app = plant.app()
            keys = {"user": "", "user_certificate": str(person.certificate_pem), "user_key": str(person.pem)}
            assert (await node.connect(plant, app, **keys))["ok"]
            await node.done("disconnect")
            (login,) = plant.said("login")
            assert login["user"] == "engineer"
            keys |= {"user_certificate": str(stranger.certificate_pem), "user_key": str(stranger.pem)}
            assert not (await node.connect(plant, app, **keys))["ok"]

    asyncio.run(scenario())
