"""Real messages of an asyncua client, mutated: before the channel opens, within it, and as decoded requests."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from asyncua import Client, ua

from protocols.opcua import codec, wire
from protocols.opcua.certificates import CertificateError, parse_chain
from protocols.opcua.channel import Message
from protocols.opcua.errors import ChannelFault, ServiceFault
from protocols.opcua.processor import Processor
from protocols.opcua.trust import NotTrusted, TrustList
from tests.contract.server_suite import QuietLog, until
from tests.kit.opcuaapp import App
from tests.kit.opcuaattacks import witnessed
from tests.kit.opcuakit import Plant, client
from tests.peers.rawopcua import RawClient

COUNT = int(os.environ.get("GRIDGATE_FUZZOPCUA", "300"))


def mutations(data: bytes, rng: random.Random) -> bytes:
    """One of: bits turned, octets cut, doubled, put in, a length made huge, the end cut off."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(max(1, len(out)))
        choice = rng.randrange(6)
        if choice == 0 and out:
            out[at] ^= 1 << rng.randrange(8)
        elif choice == 1:
            del out[at : at + rng.randrange(1, 9)]
        elif choice == 2:
            out[at:at] = out[at : at + rng.randrange(1, 65)]
        elif choice == 3:
            out[at:at] = rng.randbytes(rng.randrange(1, 17))
        elif choice == 4 and len(out) > 4:
            struct.pack_into("<I", out, rng.randrange(len(out) - 3), rng.choice((0x7FFFFFFF, 0xFFFFFFFF, 1 << 20, 0)))
        else:
            del out[at:]
    return bytes(out)


async def recorded(plant: Plant, app: App) -> tuple[list[bytes], list[Message]]:
    """What an asyncua client sends in one session: the octets of each write, and the messages the server made of it."""
    sent: list[bytes] = []
    messages: list[Message] = []
    real: Callable[..., None] = Processor.message

    def message(self: Processor, message: Message, now_s: float) -> None:
        messages.append(message)
        real(self, message, now_s)

    transport_write = asyncio.selector_events._SelectorSocketTransport.write  # type: ignore[attr-defined]
    made = await client(plant, app)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Processor, "message", message)

        def write(self: asyncio.Transport, data: bytes) -> None:
            if self.get_extra_info("peername")[1] == plant.server.bound_port:
                sent.append(bytes(data))
            transport_write(self, data)

        patch.setattr(asyncio.selector_events._SelectorSocketTransport, "write", write)  # type: ignore[attr-defined]
        async with made:
            await made.nodes.objects.get_children()
            await made.nodes.server.read_browse_name()
            with contextlib.suppress(ua.UaError):
                await made.get_node("i=2258").write_value(1.5)
    return sent, messages


def test_mutated_octets_end_their_own_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        rng = random.Random(62541)
        plant = Plant(tmp_path, limits={"connections_per_address": 1000, "connections": 1000, "hello_timeout_s": 3.0})
        async with witnessed(plant):
            sent, _ = await recorded(plant, plant.app())
            assert sent[0].startswith(b"HEL") and sent[1].startswith(b"OPN")
            for _ in range(COUNT // 3):
                raw = await RawClient.to(plant.server.bound_port)
                broken = rng.randrange(min(6, len(sent)))
                for at, data in enumerate(sent[: broken + 3]):
                    raw.send(mutations(data, rng) if at == broken else data)
                with contextlib.suppress(ConnectionError):
                    await raw.writer.drain()
                    raw.writer.write_eof()
                await raw.closed()
                await raw.close()
            # An untouched replay opens nothing either: channel ids, tokens and nonces are not its own.
            raw = await RawClient.to(plant.server.bound_port)
            raw.send(b"".join(sent))
            await raw.closed()
            await raw.close()

    asyncio.run(scenario())


def test_mutated_requests_within_a_session_are_answered(tmp_path: Path) -> None:
    """The messages as they were inside the channel, broken, from a client that is trusted and logged in."""

    async def scenario() -> None:
        rng = random.Random(62541)
        plant = Plant(tmp_path)
        async with witnessed(plant):
            _, messages = await recorded(plant, plant.app("recorded"))
            ends = int(ua.ObjectIds.CloseSessionRequest_Encoding_DefaultBinary)
            bodies = [message.body for message in messages if message.type == wire.MESSAGE]
            bodies = [body for body in bodies if codec.read_type_id(body) != ends]
            async with await client(plant, plant.app()) as made:
                token = codec.read_header(bodies[-1]).AuthenticationToken
                own = made.uaclient.session.authentication_token
                bodies = [body.replace(token.Identifier, own.Identifier) for body in bodies]
                host = plant.server.host
                assert host is not None
                (session,) = (session for session in host.sessions if session.peer.endswith(_port(made)))
                home, answers = session.home, []
                assert home is not None
                with pytest.MonkeyPatch.context() as patch:
                    # The client did not ask: it is not to hear the answers.
                    patch.setattr(home.connection, "write", answers.append)
                    for number in range(COUNT):
                        broken = mutations(rng.choice(bodies), rng)
                        with contextlib.suppress(ChannelFault):
                            home.message(Message(wire.MESSAGE, number, broken), time.monotonic())
                        await asyncio.sleep(0)
                    await until(lambda: len(answers) >= COUNT * 0.9)
                assert session.activated and session.home is home

    asyncio.run(scenario())


def _port(made: Client) -> str:
    return f":{made.uaclient.protocol.transport.get_extra_info('sockname')[1]}"


def test_random_bodies_are_refused_and_nothing_else(tmp_path: Path) -> None:
    """The reader of requests alone, a great many times: its own two refusals or a structure."""
    from protocols.opcua.uastack import encode

    rng = random.Random(1)
    structures = [ua.ReadRequest, ua.WriteRequest, ua.CreateMonitoredItemsRequest, ua.ActivateSessionRequest]
    write = ua.WriteRequest()
    write.Parameters.NodesToWrite = [
        ua.WriteValue(ua.NodeId("p", 2), 13, Value=ua.DataValue(ua.Variant([[1.5, 2.0], [3.0, 4.0]]))),
        ua.WriteValue(ua.NodeId("q", 2), 13, Value=ua.DataValue(ua.Variant([ua.Variant("x")], ua.VariantType.Variant))),
    ]
    monitored = ua.CreateMonitoredItemsRequest()
    monitored.Parameters.ItemsToCreate = [ua.MonitoredItemCreateRequest(ua.ReadValueId(ua.NodeId("p", 2), 13))]
    activate = ua.ActivateSessionRequest()
    activate.Parameters.UserIdentityToken = ua.UserNameIdentityToken(UserName="u", Password=b"p")
    seeds = [encode(body) for body in (ua.ReadRequest(), write, monitored, activate)]
    for _ in range(COUNT * 10):
        index = rng.randrange(len(seeds))
        with contextlib.suppress(ServiceFault):
            codec.read_request(structures[index], mutations(seeds[index], rng), 1_600_000)
        with contextlib.suppress(ServiceFault):
            codec.read_header(mutations(seeds[index], rng))


def test_broken_certificates_are_refused_and_nothing_else(tmp_path: Path) -> None:
    """Before any trust: the sender certificate of an OPN chunk is the first thing that a stranger is read from."""
    rng = random.Random(509)
    plant = Plant(tmp_path)
    authority = plant.app("authority", ca=True)
    apps = [plant.app("fuzzed"), plant.app("signed", trusted=False, issuer=authority)]
    seeds = [app.der.read_bytes() for app in apps]
    trust = TrustList(plant.pki, QuietLog())
    now = datetime.datetime.now(datetime.UTC)
    for _ in range(COUNT * 5):
        with contextlib.suppress(CertificateError, NotTrusted):
            trust.check(parse_chain(mutations(rng.choice(seeds), rng)), now)
