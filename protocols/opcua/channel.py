"""One secure channel (Part 6, 6.7): pure. Chunks in, messages out; responses in, chunks out; `now_s` passed in.

```
            OPN issue                    OPN renew
 (none) ───────────────► token 1 ─────────────────────► token 1 and 2
                            │                              │ first MSG with token 2
                            │ lifetime x 1.25 passed       ▼
                            ▼                           token 2 sends; token 1 is taken until it expires
                          closed
```
"""

from __future__ import annotations

import hmac
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from protocols.opcua import wire
from protocols.opcua.certificates import Certificate, CertificateError, parse_chain
from protocols.opcua.errors import ChannelFault
from protocols.opcua.policies import BLOCK, BY_URI, NONCE_SIZE, NONE_URI, SIGNATURE, CryptoError, Keys, Policy
from protocols.opcua.uastack import Codes

SIGN, SIGN_AND_ENCRYPT, NO_SECURITY = 2, 3, 1
"""`MessageSecurityMode` (Part 4, 7.20)."""

_CHANNEL_ID: Final = struct.Struct("<I")
_SEQUENCE: Final = struct.Struct("<II")
_SYMMETRIC: Final = 16
"""Header, channel id and token id of a MSG or CLO chunk."""
_LAST_SEQUENCE: Final = 0xFFFFFFFF
_WRAP: Final = 1024
"""Part 6, 6.7.2.4: past 4,294,966,271 the number may start again below 1,024."""
OVERTIME: Final = 1.25
"""Part 4, 5.5.2: a token is taken for a quarter longer than its lifetime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """This server's certificate, what is sent behind it, and its key."""

    certificate: Certificate
    key: rsa.RSAPrivateKey = field(repr=False)
    chain: bytes = b""


@dataclass(frozen=True, slots=True)
class Message:
    """One whole request, in plain octets; `body` begins with the type id."""

    type: bytes
    request: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Token:
    """One security token. Times in s on the caller's clock."""

    id: int
    expires_s: float
    theirs: Keys | None
    ours: Keys | None


Trust = Callable[[list[Certificate]], None]
"""Raises `ChannelFault` for a peer that is not trusted."""


class SecureChannel:
    """The server's end. `policies`: URIs that are served; None's is always taken, for discovery."""

    def __init__(
        self, channel_id: int, identity: Identity, policies: frozenset[str], trust: Trust, limits: wire.Limits
    ) -> None:
        self.id = channel_id
        self.limits = limits
        self.policy: Policy | None = None
        self.mode = 0
        """0 until it is open."""
        self.peer: Certificate | None = None
        self._identity = identity
        self._policies = policies
        self._trust = trust
        self._policy_uri = ""
        self._tokens: dict[int, Token] = {}
        self._sending: Token | None = None
        self._newest = secrets.randbelow(1 << 30)
        self._client_nonce = b""
        self._received: int | None = None
        self._sent = secrets.randbelow(_WRAP - 1)
        self._parts: list[bytes] = []
        self._size = 0
        self._request: int | None = None

    @property
    def is_open(self) -> bool:
        return self._sending is not None

    @property
    def newest_token(self) -> int:
        """Id of the token issued last."""
        return self._newest

    @property
    def expires_s(self) -> float:
        """When the last token is of no use any more."""
        return max((token.expires_s for token in self._tokens.values()), default=0.0)

    def receive(self, chunk: wire.Chunk, now_s: float) -> Message | None:
        """A whole message when this chunk completes one. Raises `ChannelFault`."""
        try:
            plain = self._open_chunk(chunk) if chunk.type == wire.OPEN else self._symmetric(chunk, now_s)
        except (CryptoError, struct.error) as error:
            raise ChannelFault(Codes.BadSecurityChecksFailed, f"security check failed: {error}") from None
        if len(plain) < _SEQUENCE.size:
            raise ChannelFault(Codes.BadSecurityChecksFailed, "a chunk without a sequence header")
        number, request = _SEQUENCE.unpack_from(plain)
        self._check_sequence(number)
        return self._gather(chunk, request, plain[_SEQUENCE.size :])

    def accept(self, renew: bool, mode: int, client_nonce: bytes, lifetime_s: float, now_s: float) -> tuple[int, bytes]:
        """The OPN request was decoded: (new token id, server nonce). Raises `ChannelFault`."""
        if renew != self.is_open:
            raise ChannelFault(Codes.BadRequestTypeInvalid, "renewal of no channel" if renew else "opened twice")
        self._check_mode(mode)
        server_nonce = b""
        ours = theirs = None
        if self.policy is not None:
            if len(client_nonce) != NONCE_SIZE or hmac.compare_digest(client_nonce, self._client_nonce):
                raise ChannelFault(Codes.BadNonceInvalid, "the client's nonce is too short, or used again")
            server_nonce = secrets.token_bytes(NONCE_SIZE)
            theirs = Keys.derive(self.policy, server_nonce, client_nonce)
            ours = Keys.derive(self.policy, client_nonce, server_nonce)
        self._newest += 1
        token = Token(self._newest, now_s + lifetime_s * OVERTIME, theirs, ours)
        self._tokens[token.id] = token
        self._client_nonce = client_nonce
        if self._sending is None:
            self._sending = token
        return token.id, server_nonce

    def open_response(self, request: int, body: bytes) -> bytes:
        """The answer to OPN: one chunk, under the asymmetric algorithms."""
        peer, policy = self.peer, self.policy
        if peer is None or policy is None:
            security = _string(NONE_URI.encode()) + _string(None) + _string(None)
            data = self._sequence(request) + body
            return self._header(wire.OPEN, len(security) + len(data)) + security + data
        own = self._identity
        sender = own.certificate.der + own.chain
        security = _string(policy.uri.encode()) + _string(sender) + _string(peer.thumbprint)
        block, cipher = policy.plain_block(peer), peer.key_size
        data = self._sequence(request) + body
        data += _padding(len(data) + own.certificate.key_size, block, extra=cipher > 256)
        plain = len(data) + own.certificate.key_size
        head = self._header(wire.OPEN, len(security) + plain // block * cipher) + security
        return head + policy.encrypt(peer, data + policy.sign(own.key, head + data))

    def send(self, request: int, body: bytes) -> list[bytes]:
        """MSG chunks of one response. Raises `ChannelFault` when the peer cannot take it."""
        token, limits = self._sending, self.limits
        if token is None:
            raise ChannelFault(Codes.BadSecureChannelClosed, "the channel is not open")
        room = self._room(limits.send_buffer)
        count = max(1, -(-len(body) // room))
        if 0 < limits.peer_message < len(body) or 0 < limits.peer_chunks < count:
            raise ChannelFault(Codes.BadResponseTooLarge, "the response is larger than the client takes")
        last = count - 1
        return [
            self._sealed(
                token, request, body[i * room : (i + 1) * room], wire.FINAL if i == last else wire.INTERMEDIATE
            )
            for i in range(count)
        ]

    # Receiving

    def _open_chunk(self, chunk: wire.Chunk) -> bytes:
        (channel,) = _CHANNEL_ID.unpack_from(chunk.data, wire.HEADER_SIZE)
        uri, sender, thumbprint, at = _asymmetric_header(chunk.data)
        if channel != (self.id if self.is_open else 0):
            raise ChannelFault(Codes.BadTcpSecureChannelUnknown, f"channel {channel} is not this one")
        if self.is_open and uri != self._policy_uri:
            raise ChannelFault(Codes.BadSecurityPolicyRejected, "renewed under another policy")
        self._policy_uri = uri
        if uri == NONE_URI:
            return chunk.data[at:]
        if uri not in self._policies:
            raise ChannelFault(Codes.BadSecurityPolicyRejected, f"policy {uri[:100]!r} is not offered")
        policy, peer = BY_URI[uri], self._check_peer(sender)
        if thumbprint != self._identity.certificate.thumbprint:
            raise ChannelFault(Codes.BadCertificateInvalid, "meant for another server's certificate")
        plain = policy.decrypt(self._identity.key, chunk.data[at:])
        data, signature = plain[: -peer.key_size], plain[-peer.key_size :]
        policy.verify(peer, chunk.data[:at] + data, signature)
        self.policy, self.peer = policy, peer
        return _unpadded(data, extra=self._identity.certificate.key_size > 256)

    def _check_peer(self, sender: bytes) -> Certificate:
        """Trusted before the private key is used at all; the same one for the channel's life."""
        try:
            chain = parse_chain(sender)
        except CertificateError as error:
            raise ChannelFault(Codes.BadCertificateInvalid, f"client certificate: {error}") from None
        if self.peer is not None and chain[0] != self.peer:
            raise ChannelFault(Codes.BadSecurityChecksFailed, "renewed with another certificate")
        self._trust(chain)
        return chain[0]

    def _symmetric(self, chunk: wire.Chunk, now_s: float) -> bytes:
        channel, token_id = _SEQUENCE.unpack_from(chunk.data, wire.HEADER_SIZE)
        if channel != self.id or not self.is_open:
            raise ChannelFault(Codes.BadTcpSecureChannelUnknown, f"channel {channel} is not this one, or not open")
        token = self._tokens.get(token_id)
        if token is None or now_s >= token.expires_s:
            raise ChannelFault(Codes.BadSecureChannelTokenUnknown, "a token that is unknown or has expired")
        plain = chunk.data[_SYMMETRIC:]
        if token.theirs is not None:
            if self.mode == SIGN_AND_ENCRYPT:
                plain = token.theirs.decrypt(plain)
            plain, signature = plain[:-SIGNATURE], plain[-SIGNATURE:]
            token.theirs.verify(chunk.data[:_SYMMETRIC] + plain, signature)
            if self.mode == SIGN_AND_ENCRYPT:
                plain = _unpadded(plain, extra=False)
        if self._sending is not None and token.id > self._sending.id:
            self._sending = token
            self._tokens = {old.id: old for old in self._tokens.values() if now_s < old.expires_s}
        return plain

    def _check_mode(self, mode: int) -> None:
        secured = mode in (SIGN, SIGN_AND_ENCRYPT)
        if secured != (self.policy is not None) or (not secured and mode != NO_SECURITY):
            raise ChannelFault(Codes.BadSecurityModeRejected, f"security mode {mode} under policy {self._policy_uri}")
        if self.is_open and mode != self.mode:
            raise ChannelFault(Codes.BadSecurityModeRejected, "renewed in another mode")
        self.mode = mode

    def _check_sequence(self, number: int) -> None:
        last = self._received
        wrapped = last is not None and last > _LAST_SEQUENCE - _WRAP and number < _WRAP
        if last is not None and number != last + 1 and not wrapped:
            raise ChannelFault(Codes.BadSequenceNumberInvalid, f"sequence number {number} after {last}")
        self._received = number

    def _gather(self, chunk: wire.Chunk, request: int, body: bytes) -> Message | None:
        if self._request not in (None, request):
            raise ChannelFault(Codes.BadSecurityChecksFailed, "chunks of two requests mixed")
        if chunk.final == wire.ABORT:
            self._forget()
            return None
        self._size += len(body)
        self._parts.append(body)
        self._request = request
        if self._size > self.limits.message or len(self._parts) > self.limits.chunks:
            raise ChannelFault(
                Codes.BadTcpMessageTooLarge,
                f"a request of more than {self.limits.message:,} octets or of {self.limits.chunks} chunks",
            )
        if chunk.final == wire.INTERMEDIATE:
            return None
        whole = b"".join(self._parts)
        self._forget()
        return Message(chunk.type, request, whole)

    def _forget(self) -> None:
        self._parts, self._size, self._request = [], 0, None

    # Sending

    def _header(self, kind: bytes, rest: int, final: bytes = wire.FINAL) -> bytes:
        return wire.HEADER.pack(kind, final, wire.HEADER_SIZE + 4 + rest) + _CHANNEL_ID.pack(self.id)

    def _sequence(self, request: int) -> bytes:
        self._sent = self._sent + 1 if self._sent < _LAST_SEQUENCE - _WRAP // 2 else 1
        return _SEQUENCE.pack(self._sent, request)

    def _room(self, buffer: int) -> int:
        """Octets of a body in one chunk."""
        room = buffer - _SYMMETRIC - _SEQUENCE.size
        if self.policy is None:
            return room
        if self.mode == SIGN_AND_ENCRYPT:
            room = (buffer - _SYMMETRIC) // BLOCK * BLOCK - _SEQUENCE.size - 1
        return room - SIGNATURE

    def _sealed(self, token: Token, request: int, body: bytes, final: bytes) -> bytes:
        data = self._sequence(request) + body
        encrypted = self.mode == SIGN_AND_ENCRYPT
        signature = 0 if token.ours is None else SIGNATURE
        if encrypted:
            data += _padding(len(data) + signature, BLOCK, extra=False)
        head = self._header(wire.MESSAGE, 4 + len(data) + signature, final) + _CHANNEL_ID.pack(token.id)
        if token.ours is None:
            return head + data
        data += token.ours.sign(head + data)
        return head + (token.ours.encrypt(data) if encrypted else data)


def _asymmetric_header(data: bytes) -> tuple[str, bytes, bytes, int]:
    """(policy URI, sender certificate, receiver thumbprint, where the rest begins) of an OPN chunk."""
    at = wire.HEADER_SIZE + 4
    fields: list[bytes] = []
    for _ in range(3):
        (length,) = struct.unpack_from("<i", data, at)
        end = at + 4 + max(length, 0)
        if end > len(data):
            raise ChannelFault(Codes.BadSecurityChecksFailed, "the security header is cut off")
        fields.append(data[at + 4 : end])
        at = end
    return fields[0].decode("utf-8", "replace"), fields[1], fields[2], at


def _padding(size: int, block: int, extra: bool) -> bytes:
    """Padding with its size in front (Part 6, 6.7.2.5); `extra`: the size has a second octet, at the end."""
    count = -(size + 1 + extra) % block
    low = bytes((count & 0xFF,))
    return low * (count + 1) + (bytes((count >> 8,)) if extra else b"")


def _unpadded(data: bytes, extra: bool) -> bytes:
    """Raises `CryptoError`. Only what has been verified comes here: no oracle."""
    tail = 2 if extra else 1
    if len(data) < tail:
        raise CryptoError("no padding")
    count = data[-2] | data[-1] << 8 if extra else data[-1]
    end = len(data) - tail - count
    if end < 0 or data[end : len(data) - (1 if extra else 0)] != bytes((count & 0xFF,)) * (count + 1):
        raise CryptoError("wrong padding")
    return data[:end]


def _string(data: bytes | None) -> bytes:
    return struct.pack("<i", -1) if data is None else struct.pack("<i", len(data)) + data
