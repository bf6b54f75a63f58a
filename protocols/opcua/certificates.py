"""X.509 certificates as OPC UA sends them: DER, a chain in one string, the application's URI in the SAN."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

MAX_CHAIN: Final = 6
MAX_SIZE: Final = 16_384
"""Octets of one certificate."""


_BROKEN: Final = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the parser of certificates raises."""


class CertificateError(ValueError):
    """It cannot be read as a certificate with an RSA key. The text is for a person."""


class Certificate:
    """One certificate with an RSA key. Raises `CertificateError`."""

    def __init__(self, der: bytes) -> None:
        self.der = der
        try:
            self.x509 = x509.load_der_x509_certificate(der)
            key = self.x509.public_key()
            # The parser is lazy: what is broken is to be found now, and not in the middle of a check.
            _ = (self.x509.extensions, self.x509.subject, self.x509.issuer, self.x509.not_valid_after_utc)
            _ = self.x509.not_valid_before_utc
        except _BROKEN as error:
            raise CertificateError(f"no certificate: {_one_line(error)}") from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise CertificateError("its key is no RSA key")
        self.key: rsa.RSAPublicKey = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and other.der == self.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __str__(self) -> str:
        return self.name

    @property
    def key_size(self) -> int:
        """Octets of the modulus."""
        return self.key.key_size // 8

    @cached_property
    def thumbprint(self) -> bytes:
        """SHA-1 over the DER, as security headers name a certificate (Part 6, 6.2.2). Names, proves nothing."""
        return _digest(self.der, hashes.SHA1())  # noqa: S303 - the standard's name for a certificate

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the DER in hex, as logs and the users file name a certificate."""
        return _digest(self.der, hashes.SHA256()).hex()

    @cached_property
    def name(self) -> str:
        """The common name, or all of the subject, or the fingerprint's beginning; printable, short."""
        try:
            subject = self.x509.subject
            names = [str(entry.value) for entry in subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
            text = names[0] if names else subject.rfc4514_string()
        except ValueError:
            text = ""
        return "".join(c if c.isprintable() else "?" for c in text)[:64] or self.fingerprint[:16]

    @cached_property
    def uris(self) -> tuple[str, ...]:
        """URIs of the subject alternative name; the application's is among them."""
        return tuple(self._alternative(x509.UniformResourceIdentifier))

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """DNS names and IP addresses of the subject alternative name, in lower case."""
        return tuple(
            host.lower() for host in (*self._alternative(x509.DNSName), *map(str, self._alternative(x509.IPAddress)))
        )

    @property
    def self_signed(self) -> bool:
        return self.x509.subject == self.x509.issuer

    def _alternative(self, kind: type) -> Iterable[str]:
        try:
            names = self.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (x509.ExtensionNotFound, ValueError):
            return ()
        return names.value.get_values_for_type(kind)


def parse_chain(data: bytes) -> list[Certificate]:
    """The peer's certificate and what came behind it. Raises `CertificateError`."""
    chain: list[Certificate] = []
    at = 0
    while at < len(data):
        if len(chain) == MAX_CHAIN:
            raise CertificateError(f"more than {MAX_CHAIN} certificates in a chain")
        size = _der_size(data, at)
        if size > MAX_SIZE or at + size > len(data):
            raise CertificateError("the certificate is cut off or too large")
        chain.append(Certificate(data[at : at + size]))
        at += size
    if not chain:
        raise CertificateError("no certificate was sent")
    return chain


def load_certificate(data: bytes) -> Certificate:
    """From a file's content, DER or PEM. Raises `CertificateError`."""
    if b"-----BEGIN" in data:
        try:
            loaded = x509.load_pem_x509_certificate(data)
        except ValueError as error:
            raise CertificateError(f"no certificate: {_one_line(error)}") from None
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

        return Certificate(loaded.public_bytes(Encoding.DER))
    return Certificate(data)


def _der_size(data: bytes, at: int) -> int:
    """Octets of the DER sequence that begins at `at`."""
    head = data[at : at + 6]
    if len(head) < 2 or head[0] != 0x30:
        raise CertificateError("not a certificate")
    if head[1] < 0x80:
        return 2 + head[1]
    count = head[1] & 0x7F
    if not 1 <= count <= 4 or len(head) < 2 + count:
        raise CertificateError("not a certificate")
    return 2 + count + int.from_bytes(head[2 : 2 + count], "big")


def _digest(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
