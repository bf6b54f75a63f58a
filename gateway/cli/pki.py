"""`gridgate pki`: certificates to try TLS with: an authority, the gateway's, one for each master, a revocation list.

For commissioning and tests: the authority's key lies beside what it signs, without a passphrase. Needs the package
`cryptography` (the extra ``pki``), which the gateway itself does not.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.terminal import answer, refuse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import Certificate, CertificateRevocationList, GeneralName, KeyUsage, Name

# The package is imported when it is needed: the command line is to start without it.
# ruff: noqa: PLC0415

GATEWAY: Final = "gateway"
_AUTHORITY: Final = "ca"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LIST_DAYS: Final = 30
_BACKDATED: Final = datetime.timedelta(hours=1)
"""Clocks of two machines differ."""


class PkiError(Exception):
    """It cannot be done. The text is for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PkiOptions:
    """What the person asked for: a folder, masters to be given certificates, and names to be revoked."""

    folder: Path
    masters: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    revoke: tuple[str, ...] = ()
    days: int = 365
    as_json: bool = False


def pki(options: PkiOptions) -> int:
    """Make what is missing in the folder, say what there is; returns the exit code."""
    try:
        _check_names(options)
        authority = Authority.at(options.folder, options.days)
        for name in (GATEWAY, *options.masters):
            if not authority.certificate(name).exists():
                authority.issue(name, hosts=options.hosts if name == GATEWAY else (), days=options.days)
        authority.revoke(*options.revoke)
    except PkiError as error:
        return refuse(error)
    except ImportError:
        return refuse("gridgate pki needs the Python package cryptography: pip install 'gridgate[pki]'")
    except OSError as error:
        return refuse(error)
    answer(_told(authority, options), _facts(authority, options), options.as_json)
    return 0


def _check_names(options: PkiOptions) -> None:
    for name in (*options.masters, *options.revoke):
        if not _NAME.fullmatch(name) or name == _AUTHORITY:
            raise PkiError(f"{name!r} cannot be the name of a certificate: letters, digits, _ . - expected")


def _told(authority: Authority, options: PkiOptions) -> str:
    folder = options.folder
    lines = [
        f"test certificates in {folder} (the authority's key lies beside them: not for operation)",
        "in the server of the site file:",
        f"  tls: {{certificate: {folder}/{GATEWAY}.pem, key: {folder}/{GATEWAY}.key, ca: {folder}/ca.pem, "
        f"crl: {folder}/ca.crl}}",
    ]
    for name in options.masters:
        lines.append(f"master {name}: {folder}/{name}.pem, {folder}/{name}.key; it trusts {folder}/ca.pem")
        lines.append(f"  tls_subject: CN={name}      # SHA-256 {authority.fingerprint(name)}")
    lines += [f"revoked: {name}" for name in options.revoke]
    return "\n".join(lines)


def _facts(authority: Authority, options: PkiOptions) -> dict[str, object]:
    """The same for a program: files, and each master's fingerprint."""
    masters = {
        name: {
            "certificate": str(authority.certificate(name)),
            "key": str(authority.certificate(name).with_suffix(".key")),
            "sha256": authority.fingerprint(name),
        }
        for name in options.masters
    }
    gateway = authority.certificate(GATEWAY)
    return {
        "ca": str(authority.file),
        "crl": str(authority.revocations),
        "certificate": str(gateway),
        "key": str(gateway.with_suffix(".key")),
        "masters": masters,
        "revoked": list(options.revoke),
    }


class Authority:
    """An authority whose key and revocation list lie in a folder. Names become CN and file name."""

    def __init__(self, folder: Path, key: ec.EllipticCurvePrivateKey, certificate: Certificate) -> None:
        self.folder = folder
        self._key, self._own = key, certificate

    @classmethod
    def at(cls, folder: Path, days: int = 365, name: str = "gridgate test authority") -> Authority:
        """The one in the folder, or a new one with an empty revocation list.

        Raises `PkiError` when what lies there is none, `OSError`, and `ImportError` without cryptography.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        path = folder / f"{_AUTHORITY}.pem"
        if path.exists():
            own = x509.load_pem_x509_certificate(path.read_bytes())
            key = serialization.load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise PkiError(f"{path.with_suffix('.key')} was not made by gridgate pki")
            return cls(folder, key, own)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        own = _sign(key, _common_name(name), key, _common_name(name), _span(days), authority=True)
        made = cls(folder, key, own)
        made._store(_AUTHORITY, own, key)
        made.write_list()
        return made

    @property
    def file(self) -> Path:
        """Its certificate."""
        return self.certificate(_AUTHORITY)

    @property
    def revocations(self) -> Path:
        """Its revocation list."""
        return self.folder / f"{_AUTHORITY}.crl"

    def certificate(self, name: str) -> Path:
        """The file of a certificate; its key ends in ``.key``."""
        return self.folder / f"{name}.pem"

    def issue(
        self,
        name: str,
        *,
        hosts: tuple[str, ...] = (),
        days: int = 365,
        span: tuple[datetime.datetime, datetime.datetime] | None = None,
        client_only: bool | None = None,
    ) -> Path:
        """Sign a new key; `hosts` are DNS names or addresses, `client_only` leaves out (or leaves only) serving."""
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        names = _alternatives(hosts)
        signed = _sign(
            self._key, self._own.subject, key, _common_name(name), span or _span(days), names, client_only=client_only
        )
        return self._store(name, signed, key)

    def fingerprint(self, name: str) -> str:
        """SHA-256 of a certificate, as `tls_fingerprints` takes it."""
        from cryptography.hazmat.primitives import hashes

        return self._read(name).fingerprint(hashes.SHA256()).hex()

    def revoke(self, *names: str) -> None:
        """Add certificates to the revocation list, which is renewed. Raises `PkiError` for one that is not there."""
        serials = {entry.serial_number for entry in self._read_list()}
        self.write_list(serials | {self._read(name).serial_number for name in names})

    def write_list(self, serials: Collection[int] = (), next_update: datetime.datetime | None = None) -> None:
        """A revocation list of these serial numbers."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        begin, _ = _span(1)
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=self._own.subject,
            last_update=min(begin, next_update - _BACKDATED) if next_update else begin,
            next_update=next_update or begin + datetime.timedelta(days=_LIST_DAYS),
        )
        for serial in sorted(serials):
            entry = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=begin).build()
            builder = builder.add_revoked_certificate(entry)
        pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        fresh = self.revocations.with_suffix(".crl.new")
        fresh.write_bytes(pem)
        fresh.replace(self.revocations)

    def _read(self, name: str) -> Certificate:
        from cryptography import x509

        try:
            return x509.load_pem_x509_certificate(self.certificate(name).read_bytes())
        except FileNotFoundError:
            raise PkiError(f"there is no certificate {self.certificate(name)}") from None

    def _read_list(self) -> CertificateRevocationList:
        from cryptography import x509

        return x509.load_pem_x509_crl(self.revocations.read_bytes())

    def _store(self, name: str, certificate: Certificate, key: ec.EllipticCurvePrivateKey) -> Path:
        from cryptography.hazmat.primitives import serialization

        path = self.certificate(name)
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        handle = os.open(path.with_suffix(".key"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key.private_bytes(*form))
        return path


def _span(days: int) -> tuple[datetime.datetime, datetime.datetime]:
    now = datetime.datetime.now(datetime.UTC)
    return now - _BACKDATED, now + datetime.timedelta(days=days)


def _common_name(name: str) -> Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _alternatives(hosts: tuple[str, ...]) -> list[GeneralName]:
    from cryptography import x509

    names: list[GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _key_usage(authority: bool) -> KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(
    authority_key: ec.EllipticCurvePrivateKey,
    issuer: Name,
    key: ec.EllipticCurvePrivateKey,
    subject: Name,
    span: tuple[datetime.datetime, datetime.datetime],
    names: list[GeneralName] | None = None,
    *,
    authority: bool = False,
    client_only: bool | None = None,
) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), *span)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    builder = builder.add_extension(_key_usage(authority), critical=True)
    if not authority:
        uses = [client, server] if client_only is None else [client if client_only else server]
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority_key, hashes.SHA256())
