"""What strangers try. Each is refused, told in the log with its cause, and a client beside it notices nothing."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from gateway.points import Kind
from protocols.opcua import wire
from protocols.opcua.commanding import UNSECURED
from protocols.opcua.uastack import Codes
from tests.contract.server_suite import catalogue, until
from tests.kit.opcuaattacks import bare_session, causes, refused, witnessed
from tests.kit.opcuakit import Plant, client, running
from tests.kit.opcuapoints import plant_of
from tests.peers.rawopcua import RawClient


def test_nobody_takes_a_session_over_with_a_failed_activation(tmp_path: Path) -> None:
    """Evidence 1: with the victim's very token, from another trusted application, then by a wrong password."""

    async def scenario() -> None:
        plant = Plant(tmp_path)
        victim_app, thief_app = plant.app("victim"), plant.app("thief")
        async with witnessed(plant), await client(plant, victim_app, user="administrator") as victim:
            token = victim.uaclient.session.authentication_token
            assert token.NodeIdType == ua.NodeIdType.ByteString and len(token.Identifier) == 32
            for app in (thief_app, victim_app):
                thief = await bare_session(plant, app)
                thief.uaclient.session.restore_authentication_token(token)
                with pytest.raises(ua.UaStatusCodeError):
                    await thief.activate_session(username="administrator", password="a guess")
                with pytest.raises(ua.UaStatusCodeError):
                    await thief.nodes.server.read_browse_name()
                thief.disconnect_socket()
            assert (await victim.nodes.server.read_browse_name()).Name == "Server"
        assert "another certificate" in causes(plant, "login refused")

    asyncio.run(scenario())


def test_a_client_without_security_gets_no_session(tmp_path: Path) -> None:
    """Evidence 2. Discovery is all that policy None is for."""

    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            stranger = Client(plant.url)
            endpoints = await stranger.connect_and_get_server_endpoints()
            assert {str(e.SecurityPolicyUri).rpartition("#")[2] for e in endpoints} == set(plant.plan.policies)
            assert {e.EndpointUrl for e in endpoints} == {plant.url}
            open_one = Client(plant.url)
            await open_one.connect_socket()
            await open_one.send_hello()
            await open_one.open_secure_channel()
            with pytest.raises(ua.UaStatusCodeError) as told:
                await open_one.create_session()
            assert told.value.code == Codes.BadSecurityPolicyRejected
            with pytest.raises(ua.UaStatusCodeError):
                await open_one.nodes.server.read_browse_name()
            open_one.disconnect_socket()
            assert "policy None is for discovery" in causes(plant, "session refused")

    asyncio.run(scenario())


@pytest.mark.parametrize("shown", ["nothing", "a trusted party's certificate"])
def test_the_session_is_made_with_the_channels_certificate(tmp_path: Path, shown: str) -> None:
    """Evidence 3: an untrusted channel does not even open; a trusted one cannot speak for another."""

    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            other = (plant.folder / "apps" / "witness.der").read_bytes()
            stranger = plant.app("stranger", trusted=False)
            assert await refused(await client(plant, stranger))
            assert "not in the trust list" in causes(plant, "connection closed")
            made = await bare_session(plant, plant.app("known"))
            real = made.uaclient.create_session

            async def create(parameters: Any) -> Any:
                parameters.ClientCertificate = None if shown == "nothing" else other
                return await real(parameters)

            made.uaclient.create_session = create
            with pytest.raises(ua.UaStatusCodeError) as told:
                await made.create_session()
            assert told.value.code == Codes.BadCertificateInvalid
            made.disconnect_socket()

    asyncio.run(scenario())


class Told:
    """Hears data changes."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.append(value)


def test_a_subscription_is_its_owners(tmp_path: Path) -> None:
    """Evidence 4: another session deletes, changes, reads again and takes over nothing."""

    async def scenario() -> None:
        plant = Plant(tmp_path, catalogue(("power", Kind.ANALOG)))
        plant.port.set(0, 1.0)
        async with (
            witnessed(plant),
            await client(plant, plant.app("owner")) as owner,
            await client(plant, plant.app("thief"), user="engineer") as thief,
        ):
            told = Told()
            subscription = await owner.create_subscription(100, told)
            await subscription.subscribe_data_change(owner.get_node("ns=2;s=power"))
            await until(lambda: told.values == [1.0])
            number = subscription.subscription_id
            (deleted,) = await thief.uaclient.delete_subscriptions([number])
            assert not deleted.is_good()
            with contextlib.suppress(ua.UaStatusCodeError):
                asked = ua.TransferSubscriptionsRequest()
                asked.Parameters.SubscriptionIds = [number]
                answer = await thief.uaclient.protocol.send_request(asked)
                response = struct_from_binary(ua.TransferSubscriptionsResponse, answer)
                assert not any(result.StatusCode.is_good() for result in response.Parameters.Results)
            plant.port.change([(0, 2.0, 0, 1_700_000_001_000_000_000)])
            await until(lambda: told.values == [1.0, 2.0])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"MSGF" + struct.pack("<I", 1 << 30), Codes.BadTcpMessageTooLarge),
        (b"HELF" + struct.pack("<I", 1 << 30), Codes.BadTcpMessageTooLarge),
        (b"HELF" + struct.pack("<I", 0), Codes.BadTcpMessageTooLarge),
        (b"GET / HTTP/1.1\r\n\r\n", Codes.BadTcpMessageTypeInvalid),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", Codes.BadTcpMessageTypeInvalid),
        (b"HELF" + struct.pack("<I5Ii", 32, 0, 100, 100, 0, 0, -1), Codes.BadConnectionRejected),
        (b"MSGF" + struct.pack("<I", 24) + bytes(16), Codes.BadTcpMessageTypeInvalid),
    ],
    ids=["1 GB message", "1 GB hello", "no size", "http", "tls", "tiny buffers", "no hello"],
)
def test_garbage_closes_its_own_connection(tmp_path: Path, message: bytes, code: int) -> None:
    """Evidence 5 and 6: told with an ERR, one line in the log, nothing kept."""

    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            raw = await RawClient.to(plant.server.bound_port)
            raw.send(message)
            assert await raw.answer() == (b"ERR", code)
            await raw.closed()
            await raw.close()
            assert len(plant.said("connection closed")) == 1

    asyncio.run(scenario())


def test_a_gigabyte_announced_behind_the_channel_is_not_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            raw = await RawClient.to(plant.server.bound_port)
            raw.hello()
            assert (await raw.answer())[0] == b"ACK"
            raw.open_none()
            assert (await raw.answer())[0] == b"OPN"
            raw.send(b"MSGF" + struct.pack("<I", 1 << 30))
            assert await raw.answer() == (b"ERR", Codes.BadTcpMessageTooLarge)
            await raw.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [8, 8_000], ids=["many small chunks", "few large ones"])
def test_a_flood_of_chunks_ends(tmp_path: Path, size: int) -> None:
    """A request that never ends is cut off long before it takes memory."""

    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            raw = await RawClient.to(plant.server.bound_port)
            raw.hello()
            await raw.answer()
            raw.open_none()
            kind, _, length = wire.HEADER.unpack(await raw.reader.readexactly(8))
            assert kind == b"OPN"
            opened = await raw.reader.readexactly(length - 8)
            (channel,) = struct.unpack_from("<I", opened)
            # ChannelSecurityToken in the response: channel id, then token id.
            at = opened.index(struct.pack("<I", channel), 4)
            (token,) = struct.unpack_from("<I", opened, at + 4)
            for number in range(2, 200):
                body = struct.pack("<IIII", channel, token, number, 2) + bytes(size)
                raw.send(wire.HEADER.pack(b"MSG", b"C", 8 + len(body)) + body)
            assert await raw.answer() == (b"ERR", Codes.BadTcpMessageTooLarge)
            await raw.close()

    asyncio.run(scenario())


def test_a_flood_of_garbage_does_not_flood_the_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            for _ in range(120):
                raw = await RawClient.to(plant.server.bound_port)
                raw.send(b"garbage!")
                assert await raw.answer() == (b"ERR", Codes.BadTcpMessageTypeInvalid)
                await raw.close()
            assert len(plant.said("connection closed")) == 100
            assert len(plant.said("further refusals of this address are not logged for a minute")) == 1

    asyncio.run(scenario())


def test_silent_connections_end_in_time(tmp_path: Path) -> None:
    """Before Hello, before the channel, before a session: each has its limit."""

    async def scenario() -> None:
        limits = {"hello_timeout_s": 3.0, "open_timeout_s": 3.0, "session_timeout_s": 3.0}
        async with witnessed(Plant(tmp_path, limits=limits)) as plant:
            raws = [await RawClient.to(plant.server.bound_port) for _ in range(3)]
            for raw in raws[1:]:
                raw.hello()
                assert (await raw.answer())[0] == b"ACK"
            raws[2].open_none()
            assert (await raws[2].answer())[0] == b"OPN"
            for raw in raws:
                assert await raw.answer() == (b"ERR", Codes.BadTimeout)
                await raw.close()
            for what in ("Hello", "an open channel", "a session"):
                assert f"waited in vain for {what}" in causes(plant, "connection closed")

    asyncio.run(scenario())


def test_one_address_takes_its_share_of_connections(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path, limits={"connections_per_address": 4})) as plant:
            raws = [await RawClient.to(plant.server.bound_port) for _ in range(8)]
            for raw in raws:
                raw.hello()
            answers = [(await raw.answer())[0] for raw in raws]
            assert answers.count(b"ACK") == 3  # the witness holds the fourth
            for raw in raws:
                await raw.close()
            assert len(plant.said("connection refused")) == 1

    asyncio.run(scenario())


def test_sessions_have_a_cap_and_the_forgotten_give_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path, limits={"sessions": 3})
        app = plant.app()
        async with witnessed(plant):
            first, second = await client(plant, app), await client(plant, app)
            await first.connect()
            await second.connect()
            assert await refused(await client(plant, app)) == "BadTooManySessions"
            first.disconnect_socket()  # not closed: it waits for its client
            host = plant.server.host
            assert host is not None
            await until(lambda: any(session.home is None for session in host.sessions))
            async with await client(plant, app):
                pass
            await second.disconnect()
            with contextlib.suppress(Exception):
                await first.disconnect()

    asyncio.run(scenario())


def test_a_request_that_fits_no_structure_is_answered_and_survived(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant, await client(plant, plant.app()) as made:
            for request, code in (
                (ua.QueryFirstRequest(), Codes.BadServiceUnsupported),
                (ua.AddNodesRequest(), Codes.BadServiceUnsupported),
            ):
                with pytest.raises(ua.UaStatusCodeError) as told:
                    await made.uaclient.protocol.send_request(request)
                assert told.value.code == code

    asyncio.run(scenario())


def test_without_security_a_loopback_client_may_read_when_the_site_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = plant_of(tmp_path, allow_none=True, anonymous=True)
        async with running(plant), Client(plant.url) as made:
            assert (await made.nodes.server.read_browse_name()).Name == "Server"
            host = plant.server.host
            assert host is not None
            (session,) = host.sessions
            assert session.read_only and session.roles == {"viewer"}
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await made.get_node("ns=2;s=bess1/pcs/setpoint").write_value(
                    ua.DataValue(ua.Variant(1.0, ua.VariantType.Double))
                )
            assert [command.refusal_text for command in plant.port.commands.refused] == [UNSECURED]
            assert not plant.port.commands.received

    asyncio.run(scenario())


def test_a_connection_holds_one_session_that_is_not_activated(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            made = await bare_session(plant, plant.app("hoarder"))
            for _ in range(5):
                await made.create_session()
            host = plant.server.host
            assert host is not None and len(host.sessions) == 2
            made.disconnect_socket()
            await until(lambda: len(host.sessions) == 1)

    asyncio.run(scenario())


def test_a_channel_without_a_session_ends(tmp_path: Path) -> None:
    """Also one whose session was closed."""

    async def scenario() -> None:
        async with witnessed(Plant(tmp_path, limits={"session_timeout_s": 3.0})) as plant:
            made = await client(plant, plant.app())
            await made.connect()
            await made.close_session()
            await until(lambda: "waited in vain for a session" in causes(plant, "connection closed"))
            made.disconnect_socket()

    asyncio.run(scenario())


def test_many_requests_at_once_are_all_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant, await client(plant, plant.app()) as made:
            names = await asyncio.gather(*(made.nodes.server.read_browse_name() for _ in range(300)))
            assert {name.Name for name in names} == {"Server"}

    asyncio.run(scenario())
