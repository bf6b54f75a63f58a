"""This server's certificate and key: read, or made at the first start."""

from __future__ import annotations

import datetime
import socket
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.contracts import Log
from gateway.privatefile import write_private
from gateway.tls.own import WILDCARD, key_pem, own_names, self_signed
from protocols.opcua.certificates import Certificate, CertificateError, load_certificate
from protocols.opcua.channel import Identity
from protocols.opcua.plan import ServerPlan

DAYS: Final = 365 * 10
KEY_BITS: Final = 2048


def pki_folder(plan: ServerPlan, state_dir: Path) -> Path:
    """Where certificates of this server lie."""
    return Path(plan.pki.folder) if plan.pki.folder else state_dir / "pki" / plan.name


def application_uri(plan: ServerPlan, folder: Path) -> str:
    """The configured one, or that of the certificate there is, or one made of this machine's name.

    A machine that is renamed keeps its certificate, which clients trust, and so its URI.
    """
    if plan.application_uri:
        return plan.application_uri
    path = Path(plan.pki.certificate) if plan.pki.certificate else folder / "own" / "certificate.der"
    try:
        named = load_certificate(path.read_bytes()).uris
    except (OSError, CertificateError):
        named = ()
    return named[0] if named else f"urn:{socket.gethostname().lower()}:gridgate:{plan.name}"


def own_identity(plan: ServerPlan, folder: Path, log: Log) -> Identity:
    """Certificate and key of the plan, or of `folder`/own. Raises `OSError` or `CertificateError`."""
    given = bool(plan.pki.certificate)
    certificate_path = Path(plan.pki.certificate) if given else folder / "own" / "certificate.der"
    key_path = Path(plan.pki.key) if given else folder / "own" / "key.pem"
    if not given and not (certificate_path.exists() and key_path.exists()):
        make_certificate(plan, certificate_path, key_path)
        log.info("certificate made", file=str(certificate_path))
    data = certificate_path.read_bytes()
    certificate = load_certificate(data)
    key = _load_key(key_path, plan.pki.passphrase)
    if key.public_key() != certificate.key:
        raise CertificateError(f"the key in {key_path} does not belong to {certificate_path}")
    _check_names(plan, certificate, certificate_path, log)
    warn_of_expiry(plan, certificate, log)
    return Identity(certificate=certificate, key=key, chain=_chain(data))


def warn_of_expiry(plan: ServerPlan, certificate: Certificate, log: Log) -> float:
    """Days that it still holds; logged when they are few."""
    left = certificate.x509.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    days = left / datetime.timedelta(days=1)
    if days < plan.pki.expiry_warning_days:
        until = f"{certificate.x509.not_valid_after_utc:%Y-%m-%d}"
        log.warning("certificate expires soon" if days > 0 else "certificate has expired", until=until)
    return days


def make_certificate(plan: ServerPlan, certificate_path: Path, key_path: Path) -> None:
    """A self-signed one with every name under which clients reach this server; the key has mode 0600."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = own_names([plan.host, *plan.hosts], plan.application_uri)
    made = self_signed(f"GridGate {plan.name}", names, key, usage, DAYS, client=True)
    write_private(key_path, key_pem(key))
    write_private(certificate_path, made.public_bytes(serialization.Encoding.DER))


def _check_names(plan: ServerPlan, certificate: Certificate, path: Path, log: Log) -> None:
    if plan.application_uri not in certificate.uris:
        raise CertificateError(
            f"{path} does not name the application: URI {plan.application_uri} expected in its alternative names,"
            f" found {', '.join(certificate.uris) or 'none'}"
        )
    missing = [host for host in (plan.host, *plan.hosts) if host.lower() not in (*certificate.hosts, *WILDCARD)]
    if missing:
        log.warning("certificate does not name the host: clients may refuse it", file=str(path), hosts=missing)


def _load_key(path: Path, passphrase: str) -> rsa.RSAPrivateKey:
    data = path.read_bytes()
    secret = passphrase.encode() or None
    try:
        pem = b"-----BEGIN" in data
        key = (serialization.load_pem_private_key if pem else serialization.load_der_private_key)(data, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} holds no usable key: {str(error)[:100]}") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CertificateError(f"{path} holds no RSA key")
    return key


def _chain(data: bytes) -> bytes:
    """DER of what stands behind the certificate in a PEM file."""
    if b"-----BEGIN" not in data:
        return b""
    behind = x509.load_pem_x509_certificates(data)[1:]
    return b"".join(one.public_bytes(serialization.Encoding.DER) for one in behind)
