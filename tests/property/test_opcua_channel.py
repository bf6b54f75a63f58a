"""Our end of a secure channel against asyncua's, without a socket: every policy, mode and size; what time does."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import header_from_binary, struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.opcua import wire
from protocols.opcua.certificates import load_certificate
from protocols.opcua.channel import Identity, Message, SecureChannel
from protocols.opcua.codec import read_request
from protocols.opcua.errors import ChannelFault
from protocols.opcua.policies import POLICIES as OURS
from protocols.opcua.uastack import Codes, encode
from tests.kit.opcuaapp import App
from tests.kit.opcuakit import POLICIES

BIG = 10_000_000


class Pair:
    """A client's end and ours, opened. `now_s` is ours."""

    def __init__(self, folder: Path, policy: str, mode: int, buffer: int = 8192, key_bits: int = 2048) -> None:
        server = App(folder, "server", key=f"server{key_bits}", bits=key_bits)
        client = App(folder, "client", key=f"client{key_bits}", bits=key_bits)
        identity = Identity(certificate=load_certificate(server.der.read_bytes()), key=server.key)
        limits = wire.Limits(message=BIG, chunks=2000, receive_buffer=buffer, send_buffer=buffer)
        uris = frozenset(row.uri for row in OURS.values())
        self.ours = SecureChannel(77, identity, uris, lambda chain: None, limits)
        self.policy = POLICIES[policy](server.certificate, client.certificate, client.key, ua.MessageSecurityMode(mode))
        self.theirs = SecureConnection(self.policy, TransportLimits(buffer, buffer, 2000, BIG))
        self.mode, self.now_s, self.request = mode, 1000.0, 0
        self.reader = wire.ChunkReader(65_536)

    def hear(self, octets: bytes, step: int = 0) -> list[Message]:
        """What we make of what the client sent, cut into pieces of `step`."""
        heard = []
        for at in range(0, len(octets), step or len(octets)):
            self.reader.feed(octets[at : at + (step or len(octets))])
            while (chunk := self.reader.take()) is not None:
                if (message := self.ours.receive(chunk, self.now_s)) is not None:
                    heard.append(message)
        return heard

    def ask(self, body: bytes) -> bytes:
        self.request += 1
        return bytes(self.theirs.message_to_binary(body, request_id=self.request))

    def told(self, chunks: list[bytes]) -> bytes:
        """What the client makes of what we sent."""
        for chunk in chunks:
            data = Buffer(chunk)
            message = self.theirs.receive_from_header_and_body(header_from_binary(data), data)
        assert message is not None
        return bytes(message.body())

    def open(self, renew: bool = False, lifetime_s: float = 60.0, nonce: bytes | None = None) -> None:
        asked = ua.OpenSecureChannelRequest()
        kinds = ua.SecurityTokenRequestType
        asked.Parameters.RequestType = kinds.Renew if renew else kinds.Issue
        asked.Parameters.SecurityMode = ua.MessageSecurityMode(self.mode)
        asked.Parameters.ClientNonce = os.urandom(32) if nonce is None else nonce
        self.request += 1
        octets = self.theirs.message_to_binary(
            struct_to_binary(asked), message_type=ua.MessageType.SecureOpen, request_id=self.request
        )
        (message,) = self.hear(bytes(octets))
        heard = read_request(ua.OpenSecureChannelRequest, message.body, 0).Parameters
        token, server_nonce = self.ours.accept(
            renew, int(heard.SecurityMode), heard.ClientNonce, lifetime_s, self.now_s
        )
        answer = ua.OpenSecureChannelResponse()
        answer.Parameters.SecurityToken = ua.ChannelSecurityToken(77, token, RevisedLifetime=int(lifetime_s * 1000))
        answer.Parameters.ServerNonce = server_nonce
        body = self.told([self.ours.open_response(message.request, encode(answer))])
        parameters = struct_from_binary(ua.OpenSecureChannelResponse, Buffer(body)).Parameters
        self.theirs.set_channel(parameters, asked.Parameters.RequestType, asked.Parameters.ClientNonce)
        if renew:  # as asyncua's client does before its next request
            self.theirs.revolve_tokens()

    def echo(self, body: bytes, step: int = 0) -> None:
        """A message there and back."""
        (message,) = self.hear(self.ask(body), step)
        assert (message.type, message.request, message.body) == (wire.MESSAGE, self.request, body)
        chunks = self.ours.send(self.request, body)
        assert all(len(chunk) <= self.ours.limits.send_buffer for chunk in chunks)
        assert self.told(chunks) == body


def refusal(do: Any, *arguments: Any) -> int:
    with pytest.raises(ChannelFault) as told:
        do(*arguments)
    return int(told.value.code)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", [2, 3])
def test_every_size_goes_there_and_back(tmp_path_factory: pytest.TempPathFactory, policy: str, mode: int) -> None:
    pair = Pair(tmp_path_factory.mktemp("pair"), policy, mode)
    pair.open()
    for size in (1, 15, 16, 17, *range(8110, 8160), 8192, 50_000):
        pair.echo(os.urandom(size))

    @settings(max_examples=15, deadline=None)
    @given(st.binary(min_size=1, max_size=30_000), st.integers(1, 5_000))
    def anything(body: bytes, step: int) -> None:
        pair.echo(body, step)

    anything()


@pytest.mark.parametrize("policy", POLICIES)
def test_keys_of_3072_bits(tmp_path: Path, policy: str) -> None:
    """Above 2,048 bits the padding of asymmetric messages has a size of two octets."""
    pair = Pair(tmp_path, policy, 3, key_bits=3072)
    pair.open()
    pair.echo(b"body" * 1000)


def test_a_renewed_channel_takes_the_old_token_until_it_expires(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "Basic256Sha256", 3)
    pair.open(lifetime_s=60)
    old = pair.ask(b"sent before the renewal, and late")
    pair.now_s += 50
    # The late message goes over TCP before OPN does; its number is the earlier one.
    assert pair.hear(old)[0].body.startswith(b"sent before")
    pair.open(renew=True, lifetime_s=60)
    pair.echo(b"under the new one")
    pair.now_s += 74.9
    pair.echo(b"in its last quarter")
    pair.now_s += 0.2
    assert refusal(pair.hear, pair.ask(b"too late")) == Codes.BadSecureChannelTokenUnknown


def test_a_nonce_is_used_once_and_a_channel_opened_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "Basic256Sha256", 3)
    nonce = os.urandom(32)
    pair.open(nonce=nonce)
    assert refusal(lambda: pair.open(renew=True, nonce=nonce)) == Codes.BadNonceInvalid
    again = Pair(tmp_path, "Basic256Sha256", 3)
    assert refusal(lambda: again.open(nonce=b"short")) == Codes.BadNonceInvalid
    assert refusal(lambda: Pair(tmp_path, "Basic256Sha256", 3).open(renew=True)) == Codes.BadRequestTypeInvalid


def test_a_message_comes_once_and_in_order(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "Basic256Sha256", 3)
    pair.open()
    first, second = pair.ask(b"first"), pair.ask(b"second")
    assert refusal(pair.hear, second) == Codes.BadSequenceNumberInvalid
    other = Pair(tmp_path, "Basic256Sha256", 3)
    other.open()
    first = other.ask(b"first")
    other.hear(first)
    assert refusal(other.hear, first) == Codes.BadSequenceNumberInvalid


def test_one_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "Aes256_Sha256_RsaPss", 2)
    pair.open()
    octets = pair.ask(b"a request")
    for at in range(8, len(octets)):
        broken = bytearray(octets)
        broken[at] ^= 1
        pair.reader = wire.ChunkReader(65_536)
        assert refusal(pair.hear, bytes(broken)) in (
            Codes.BadSecurityChecksFailed,
            Codes.BadTcpSecureChannelUnknown,
            Codes.BadSecureChannelTokenUnknown,
        )
    assert pair.hear(octets)[0].body == b"a request"


def test_what_the_client_does_not_take_is_not_sent(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "Basic256Sha256", 3)
    pair.open()
    pair.ours.limits = wire.Limits(peer_message=1000)
    assert refusal(pair.ours.send, 1, bytes(1001)) == Codes.BadResponseTooLarge
    pair.ours.limits = wire.Limits(peer_chunks=1, send_buffer=8192)
    assert refusal(pair.ours.send, 1, bytes(9000)) == Codes.BadResponseTooLarge


@given(st.binary(max_size=64), st.integers(1, 8))
def test_the_reader_of_chunks_refuses_or_waits(data: bytes, step: int) -> None:
    reader = wire.ChunkReader(1024)
    try:
        for at in range(0, len(data), step):
            reader.feed(data[at : at + step])
            while (chunk := reader.take()) is not None:
                assert len(chunk.data) <= 1024
    except ChannelFault:
        return
    assert len(data) < 8 or struct.unpack_from("<I", data, 4)[0] <= 1024
