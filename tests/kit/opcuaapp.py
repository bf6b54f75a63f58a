"""An OPC UA client application: its certificate and its key, and lists of revoked ones, made for a test."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_KEYS: dict[str, rsa.RSAPrivateKey] = {}


def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key by name; made once a process."""
    if name not in _KEYS:
        _KEYS[name] = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return _KEYS[name]


class App:
    """A client application: certificate and key in a folder."""

    def __init__(self, folder: Path, name: str, issuer: App | None = None, **odd: Any) -> None:
        self.name, self.uri = name, f"urn:{name}:client"
        self.key = key(odd.pop("key", name), odd.pop("bits", 2048))
        self.certificate = self._make(issuer, **odd)
        folder.mkdir(parents=True, exist_ok=True)
        self.der, self.pem = folder / f"{name}.der", folder / f"{name}.pem"
        self.certificate_pem = folder / f"{name}.crt"
        self.certificate_pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.der.write_bytes(self.certificate.public_bytes(serialization.Encoding.DER))
        self.pem.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _make(
        self,
        issuer: App | None,
        uri: str = "",
        days: tuple[float, float] = (-1, 30),
        ca: bool = False,
        host: str = "localhost",
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        names = [x509.UniformResourceIdentifier(uri or self.uri), x509.DNSName(host)]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign((issuer or self).key, hashes.SHA256())

    def crl(self, *revoked: App, days: float = 30) -> bytes:
        """A revocation list of this authority."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - datetime.timedelta(days=2))
            .next_update(now + datetime.timedelta(days=days))
        )
        for app in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(app.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
