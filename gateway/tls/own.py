"""Certificates that the gateway makes for itself: self-signed, with every name under which it is reached."""

from __future__ import annotations

import datetime
import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

WILDCARD: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on
_BACKDATED: Final = datetime.timedelta(hours=1)


def own_names(hosts: Iterable[str], uri: str = "") -> list[x509.GeneralName]:
    """Alternative names: the URI, these hosts and this machine's name; a wildcard stands for the loopback."""
    found = list(hosts)
    if WILDCARD & set(found):
        found += ["localhost", "127.0.0.1"]
    found += [socket.gethostname()]
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)] if uri else []
    for host in dict.fromkeys(found):
        if host in WILDCARD:
            continue
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    if "127.0.0.1" in found and "localhost" not in found:
        names.append(x509.DNSName("localhost"))
    return names


def self_signed(
    common_name: str, names: Iterable[x509.GeneralName], key: Key, usage: x509.KeyUsage, days: int, *, client: bool
) -> x509.Certificate:
    """A certificate for serving and, with `client`, for connecting too."""
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, *((ExtendedKeyUsageOID.CLIENT_AUTH,) if client else ())]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def key_pem(key: Key) -> bytes:
    """The key without a passphrase: its file is for its owner only."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
