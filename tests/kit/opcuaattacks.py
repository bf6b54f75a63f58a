"""Clients that say one thing wrong, and what is known of them afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from asyncua import Client, ua

from tests.kit.opcuaapp import App
from tests.kit.opcuakit import Plant, client, running


@contextlib.asynccontextmanager
async def witnessed(plant: Plant) -> AsyncIterator[Plant]:
    """A running plant with an honest client; at the end it is still served."""
    witness = plant.app("witness")
    async with running(plant), await client(plant, witness, user="viewer") as honest:
        yield plant
        assert (await honest.nodes.server.read_browse_name()).Name == "Server"
    assert not plant.said("service failed")


async def bare_session(plant: Plant, app: App) -> Client:
    """An open, secured channel without a session."""
    made = await client(plant, app)
    await made.connect_socket()
    await made.send_hello()
    await made.open_secure_channel()
    return made


async def refused(made: Client, **keys: Any) -> str:
    """The name of the error with which a connect fails."""
    try:
        async with asyncio.timeout(10):
            await made.connect(**keys)
    except (ua.UaError, ConnectionError, TimeoutError, asyncio.CancelledError) as error:
        return type(error).__name__
    finally:
        with contextlib.suppress(Exception):
            made.disconnect_socket()
    raise AssertionError("the client was let in")


def causes(plant: Plant, event: str) -> str:
    return "\n".join(str(line["cause"]) for line in plant.said(event))
