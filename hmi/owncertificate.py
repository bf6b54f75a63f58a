"""The HMI's certificate: the engineer's, or an own one, made at the first start and again before it ends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.contracts.log import Log
from gateway.privatefile import write_private
from gateway.tls.certificates import CertificateError, fingerprint, pem_blocks, validity
from gateway.tls.own import key_pem, own_names, self_signed
from hmi.plan import HmiPlan

DAYS: Final = 820
"""Some browsers take no certificate that holds longer than 825 days."""
RENEW_S: Final = 30 * 86_400.0


def keep_own(plan: HmiPlan, state_dir: Path, site: str, log: Log) -> None:
    """Make the own certificate if it is missing, ends soon or lacks a name; the engineer's is never touched.

    Raises `OSError` when it cannot be written.
    """
    files = plan.tls_files(state_dir)
    if files is None or plan.tls is None or plan.tls.certificate:
        return
    certificate, key = Path(files.certificate), Path(files.key)
    names = own_names([plan.host, *plan.hosts])
    why = _why_anew(certificate, key, names)
    if not why:
        return
    secret = ec.generate_private_key(ec.SECP256R1())
    made = self_signed(f"GridGate {site}", names, secret, _USAGE, DAYS, client=False)
    write_private(key, key_pem(secret))
    write_private(certificate, made.public_bytes(serialization.Encoding.PEM))
    shown = fingerprint(made.public_bytes(serialization.Encoding.DER))
    log.info("own certificate made", cause=why, file=str(certificate), sha256=shown)


_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _why_anew(certificate: Path, key: Path, names: list[x509.GeneralName]) -> str:
    if not (certificate.exists() and key.exists()):
        return "there was none"
    try:
        (der, *_) = pem_blocks(certificate.read_text("ascii", "replace"), "CERTIFICATE")
        left_s = validity(der)[1] - time.time()
        found = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OSError, ValueError, CertificateError, x509.ExtensionNotFound):
        return "it could not be read"
    if left_s < RENEW_S:
        return "it had less than 30 days left"
    return "" if set(names) <= set(found.value) else "it lacked a name of this machine"
