"""A client logs in, reads and browses, under every policy and mode."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from asyncua import ua

from gateway.users.store import read_users, write_users
from tests.contract.server_suite import until
from tests.kit.opcuaattacks import bare_session
from tests.kit.opcuakit import PASSWORD, POLICIES, Plant, client, running


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


def test_a_session_moves_to_a_new_channel_of_its_client_with_every_proof(tmp_path: Path) -> None:
    """The client lost its connection, or believes so: same certificate, same user, fresh signature and password."""

    async def scenario() -> None:
        plant = Plant(tmp_path)
        app = plant.app()
        async with running(plant):
            first = await client(plant, app)
            await first.connect()
            second = await bare_session(plant, app)
            second.uaclient.session.restore_authentication_token(first.uaclient.session.authentication_token)
            second._server_nonce = first._server_nonce
            second._policy_ids = first._policy_ids
            with pytest.raises(ua.UaStatusCodeError) as told:  # another user, with his own right password
                await second.activate_session(username="viewer", password=PASSWORD)
            assert told.value.code == ua.StatusCodes.BadIdentityTokenRejected
            assert (await first.nodes.server.read_browse_name()).Name == "Server"
            await second.activate_session(username="operator", password=PASSWORD)
            assert (await second.nodes.server.read_browse_name()).Name == "Server"
            with pytest.raises(ua.UaStatusCodeError) as told:
                await first.nodes.server.read_browse_name()
            assert told.value.code == ua.StatusCodes.BadSessionIdInvalid
            assert len(plant.said("session moved")) == 1
            first.disconnect_socket()
            assert (await second.nodes.server.read_browse_name()).Name == "Server"
            second.disconnect_socket()

    asyncio.run(scenario())


def test_a_proof_is_good_for_once(tmp_path: Path) -> None:
    """What was recorded of a login cannot be shown again: the nonce has changed."""

    async def scenario() -> None:
        plant = Plant(tmp_path)
        app = plant.app()
        async with running(plant):
            made = await client(plant, app)
            await made.connect_socket()
            await made.send_hello()
            await made.open_secure_channel()
            await made.create_session()
            shown: list[object] = []
            real = made.uaclient.session.activate_session

            async def keep(parameters):  # type: ignore[no-untyped-def]
                shown.append(parameters)
                return await real(parameters)

            made.uaclient.session.activate_session = keep
            await made.activate_session(username="operator", password=PASSWORD)
            with pytest.raises(ua.UaStatusCodeError) as told:
                await real(shown[0])
            assert told.value.code == ua.StatusCodes.BadApplicationSignatureInvalid
            assert (await made.nodes.server.read_browse_name()).Name == "Server"
            made.disconnect_socket()

    asyncio.run(scenario())


def test_an_idle_session_times_out_and_one_without_a_connection_waits_for_its_client(tmp_path: Path) -> None:
    from protocols.opcua.plan import LimitPlan
    from protocols.opcua.sessions import Sessions
    from tests.contract.server_suite import QuietLog

    class Home:
        """A connection as a session sees it."""

        peer, address, congested = "127.0.0.1:1", "127.0.0.1", False

        class channel:  # noqa: N801
            policy, peer, mode = None, None, 1

        class connection:  # noqa: N801
            @staticmethod
            def opened(renewed: bool) -> None: ...

    sessions = Sessions(LimitPlan(), QuietLog())
    ended: list[bool] = []
    home = Home()
    asked = ua.CreateSessionParameters(RequestedSessionTimeout=20_000.0)
    session = sessions.create(home, asked, "urn:x", 100.0)  # type: ignore[arg-type]
    session.take(home, None)  # type: ignore[arg-type]
    session.on_close(ended.append)
    sessions.connection_lost(home)  # type: ignore[arg-type]
    sessions.expire(119.0)
    assert len(sessions) == 1 and session.congested and not ended
    sessions.expire(121.0)
    assert len(sessions) == 0 and ended == [False]  # its subscriptions may be transferred still


def test_a_first_password_is_good_for_nothing_here(tmp_path: Path) -> None:
    """It is to be changed at the gateway's page."""

    async def scenario() -> None:
        plant = Plant(tmp_path)
        app = plant.app()
        async with running(plant):
            path = Path(plant.plan.users)
            known = dict(read_users(path))
            write_users(path, known | {"viewer": replace(known["viewer"], must_change=True)})
            refused = await client(plant, app, user="viewer")
            with pytest.raises(ua.UaStatusCodeError) as told:
                await refused.connect()
            assert told.value.code == ua.StatusCodes.BadUserAccessDenied
            refused.disconnect_socket()

    asyncio.run(scenario())


def test_a_change_of_the_users_file_reaches_open_sessions(tmp_path: Path) -> None:
    """Whoever was removed is out within a second or so; whoever has another role has it now."""

    async def scenario() -> None:
        plant = Plant(tmp_path)
        app = plant.app()
        async with running(plant):
            removed, raised = await client(plant, app, user="engineer"), await client(plant, app, user="viewer")
            await removed.connect()
            await raised.connect()
            host = plant.server.host
            assert host is not None
            (session,) = (session for session in host.sessions if session.user == "viewer")
            known = dict(read_users(Path(plant.plan.users)))
            del known["engineer"]
            known["viewer"] = replace(known["viewer"], roles=frozenset(("operator",)))
            write_users(Path(plant.plan.users), known)
            await until(lambda: session.role == "operator")
            with pytest.raises(ua.UaStatusCodeError) as told:
                await removed.nodes.server.read_browse_name()
            assert told.value.code == ua.StatusCodes.BadSessionIdInvalid
            assert (await raised.nodes.server.read_browse_name()).Name == "Server"
            await raised.disconnect()
            removed.disconnect_socket()

    asyncio.run(scenario())
