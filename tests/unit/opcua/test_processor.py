"""Requests beside each other in one session: what waits delays nobody, what fails ends alone, too many are refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from tests.contract.server_suite import until
from tests.kit.opcuakit import Plant, client, running


def test_a_slow_request_delays_none_of_its_session_and_too_many_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path, limits={"requests_per_session": 2})
        release = asyncio.Event()
        heard: list[str] = []

        async def slow(session: Any, request: Any) -> Any:
            heard.append(session.origin_peer)
            await release.wait()
            return ua.CancelResponse()

        plant.server.table.add(ua.CancelRequest, slow)
        async with running(plant), await client(plant, plant.app()) as made:
            waiting = [asyncio.create_task(made.uaclient.protocol.send_request(ua.CancelRequest()))]
            await until(lambda: len(heard) == 1)
            assert heard[0].startswith("operator@127.0.0.1:")
            assert (await made.nodes.server.read_browse_name()).Name == "Server"
            waiting.append(asyncio.create_task(made.uaclient.protocol.send_request(ua.CancelRequest())))
            await until(lambda: len(heard) == 2)
            with pytest.raises(ua.UaStatusCodeError) as told:
                await made.uaclient.protocol.send_request(ua.CancelRequest())
            assert told.value.code == ua.StatusCodes.BadTooManyOperations
            release.set()
            await asyncio.gather(*waiting)
            await made.uaclient.protocol.send_request(ua.CancelRequest())

    asyncio.run(scenario())


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_a_mistake_in_a_service_ends_one_request_and_is_told(tmp_path: Path, later: bool) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)

        def fails(session: Any, request: Any) -> Any:
            raise ZeroDivisionError("of the service")

        async def fails_later(session: Any, request: Any) -> Any:
            await asyncio.sleep(0)
            fails(session, request)

        plant.server.table.add(ua.CancelRequest, fails_later if later else fails)
        async with running(plant), await client(plant, plant.app()) as made:
            with pytest.raises(ua.UaStatusCodeError) as told:
                await made.uaclient.protocol.send_request(ua.CancelRequest())
            assert told.value.code == ua.StatusCodes.BadInternalError
            assert (await made.nodes.server.read_browse_name()).Name == "Server"
        (line,) = plant.said("service failed")
        assert line["request"] == "CancelRequest" and "ZeroDivisionError: of the service" in str(line["cause"])
        assert "test_processor.py" in str(line["place"])

    asyncio.run(scenario())


def test_what_waits_for_something_to_tell_ends_with_its_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        ends: list[str] = []
        begun = asyncio.Event()

        async def waits(session: Any, request: Any) -> Any:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        plant.server.table.add(ua.CancelRequest, waits, waits=True)
        async with running(plant):
            made = await client(plant, plant.app())
            await made.connect()
            waiting = asyncio.create_task(made.uaclient.protocol.send_request(ua.CancelRequest()))
            await begun.wait()
            made.disconnect_socket()
            await until(lambda: ends == ["cancelled"])
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(scenario())
