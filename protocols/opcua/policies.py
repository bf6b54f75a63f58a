"""Security policies (Part 7, 6.6) as a table, and the cryptography that each row names."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols.opcua.certificates import Certificate

NONE_URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#None"
NONCE_SIZE: Final = 32
BLOCK: Final = 16
SIGNATURE: Final = 32
"""Octets of HMAC-SHA256."""


class CryptoError(Exception):
    """A signature, a padding or a ciphertext is not right. Says no more, on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One security policy. Key sizes in octets."""

    name: str
    signing_key: int
    encrypting_key: int
    oaep_hash: type[hashes.HashAlgorithm]
    oaep_overhead: int
    pss: bool
    signature_uri: str
    encryption_uri: str

    @property
    def uri(self) -> str:
        return f"http://opcfoundation.org/UA/SecurityPolicy#{self.name}"

    def sign(self, key: rsa.RSAPrivateKey, data: bytes) -> bytes:
        """Asymmetric signature over SHA-256."""
        return key.sign(data, self._signature_padding(), hashes.SHA256())

    def verify(self, certificate: Certificate, data: bytes, signature: bytes) -> None:
        """Raises `CryptoError`."""
        try:
            certificate.key.verify(signature, data, self._signature_padding(), hashes.SHA256())
        except InvalidSignature:
            raise CryptoError("the signature is wrong") from None

    def encrypt(self, certificate: Certificate, data: bytes) -> bytes:
        """Asymmetric, block by block."""
        step = certificate.key_size - self.oaep_overhead
        return b"".join(certificate.key.encrypt(data[at : at + step], self._oaep()) for at in range(0, len(data), step))

    def decrypt(self, key: rsa.RSAPrivateKey, data: bytes) -> bytes:
        """Asymmetric, block by block. Raises `CryptoError`."""
        size = key.key_size // 8
        if not data or len(data) % size:
            raise CryptoError("no whole cipher blocks")
        try:
            return b"".join(key.decrypt(data[at : at + size], self._oaep()) for at in range(0, len(data), size))
        except ValueError:
            raise CryptoError("it does not decrypt") from None

    def plain_block(self, certificate: Certificate) -> int:
        """Octets of plain text in one asymmetric block for this receiver."""
        return certificate.key_size - self.oaep_overhead

    def _signature_padding(self) -> padding.AsymmetricPadding:
        if not self.pss:
            return padding.PKCS1v15()
        return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)

    def _oaep(self) -> padding.OAEP:
        return padding.OAEP(mgf=padding.MGF1(self.oaep_hash()), algorithm=self.oaep_hash(), label=None)


_RSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_OAEP: Final = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"

POLICIES: Final = {
    policy.name: policy
    for policy in (
        Policy(
            name="Basic256Sha256",
            signing_key=32,
            encrypting_key=32,
            oaep_hash=hashes.SHA1,
            oaep_overhead=42,
            pss=False,
            signature_uri=_RSA_SHA256,
            encryption_uri=_OAEP,
        ),
        Policy(
            name="Aes128_Sha256_RsaOaep",
            signing_key=32,
            encrypting_key=16,
            oaep_hash=hashes.SHA1,
            oaep_overhead=42,
            pss=False,
            signature_uri=_RSA_SHA256,
            encryption_uri=_OAEP,
        ),
        Policy(
            name="Aes256_Sha256_RsaPss",
            signing_key=32,
            encrypting_key=32,
            oaep_hash=hashes.SHA256,
            oaep_overhead=66,
            pss=True,
            signature_uri="http://opcfoundation.org/UA/security/rsa-pss-sha2-256",
            encryption_uri="http://opcfoundation.org/UA/security/rsa-oaep-sha2-256",
        ),
    )
}
BY_URI: Final = {policy.uri: policy for policy in POLICIES.values()}


@dataclass(frozen=True, slots=True)
class Keys:
    """Symmetric keys of one direction of one token."""

    signing: bytes
    encrypting: bytes
    vector: bytes

    @classmethod
    def derive(cls, policy: Policy, secret: bytes, seed: bytes) -> Keys:
        """P_SHA256 (Part 6, 6.7.5)."""
        first, second = policy.signing_key, policy.signing_key + policy.encrypting_key
        data = _p_sha256(secret, seed, second + BLOCK)
        return cls(data[:first], data[first:second], data[second:])

    def sign(self, data: bytes) -> bytes:
        return hmac.digest(self.signing, data, sha256)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raises `CryptoError`."""
        if not hmac.compare_digest(self.sign(data), signature):
            raise CryptoError("the signature is wrong")

    def encrypt(self, data: bytes) -> bytes:
        cipher = Cipher(algorithms.AES(self.encrypting), modes.CBC(self.vector)).encryptor()
        return cipher.update(data) + cipher.finalize()

    def decrypt(self, data: bytes) -> bytes:
        """Raises `CryptoError`."""
        if not data or len(data) % BLOCK:
            raise CryptoError("no whole cipher blocks")
        cipher = Cipher(algorithms.AES(self.encrypting), modes.CBC(self.vector)).decryptor()
        return cipher.update(data) + cipher.finalize()


def _p_sha256(secret: bytes, seed: bytes, size: int) -> bytes:
    out, state = b"", seed
    while len(out) < size:
        state = hmac.digest(secret, state, sha256)
        out += hmac.digest(secret, state + seed, sha256)
    return out[:size]
