"""A client logs in, reads and browses, under every policy and mode."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.opcuakit import POLICIES, Plant, client, running


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", [2, 3])
def test_a_client_logs_in_and_reads(tmp_path: Path, policy: str, mode: int) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        app = plant.app()
        async with running(plant), await client(plant, app, policy=policy, mode=mode) as ua_client:
            assert (await ua_client.nodes.server.read_browse_name()).Name == "Server"
            names = [(await node.read_browse_name()).Name for node in await ua_client.nodes.objects.get_children()]
            assert "Server" in names
        (login,) = plant.said("login")
        assert (login["user"], login["client"]) == ("operator", "client")
        assert not plant.said("connection closed")

    asyncio.run(scenario())
