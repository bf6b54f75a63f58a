"""TLS towards a broker: 1.2 or newer, its certificate and name always verified. Reads files."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from protocols.mqtt.linkplan import TlsPlan

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!PSK:@SECLEVEL=2"
"""Of TLS 1.2; all suites of 1.3 are of that strength."""
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class _Socket(ssl.SSLSocket):
    """Closes itself when the handshake fails: paho leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def client_context(plan: TlsPlan) -> ssl.SSLContext:
    """Raises `OSError` (of which `ssl.SSLError` is one) when a file is missing or does not hold what it should."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[plan.minimum]
    context.set_ciphers(CIPHERS)
    context.sslsocket_class = _Socket
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if plan.ca:
        context.load_verify_locations(plan.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if plan.certificate:
        context.load_cert_chain(plan.certificate, plan.key or None, plan.passphrase or "")
    return context


def file_trouble(plan: TlsPlan) -> str:
    """Why the files cannot be used; empty when they can."""
    try:
        client_context(plan)
    except ssl.SSLError as error:
        say = _FILES.get(error.reason or "", "the PEM files cannot be used: {error}")
        return say.format(ca=plan.ca, certificate=plan.certificate, key=plan.key, error=error)
    except OSError as error:
        named = ", ".join(path for path in (plan.ca, plan.certificate, plan.key) if path)
        return f"{error} ({named})"
    return ""


_FILES: Final[Mapping[str, str]] = {
    "KEY_VALUES_MISMATCH": "{key} is not the key of {certificate}",
    "BAD_DECRYPT": "the passphrase does not open {key}",
    "BAD_PASSWORD_READ": "{key} needs a passphrase",
    "NO_CERTIFICATE_OR_CRL_FOUND": "no certificate in {ca}",
    "NO_START_LINE": "{ca}, {certificate} or {key} holds no PEM",
    "EE_KEY_TOO_SMALL": "the key of {certificate} is too weak",
}

_UNKNOWN: Final = "its certificate is of an unknown authority"
_VERIFY: Final[Mapping[int, str]] = {
    **dict.fromkeys((2, 18, 19, 20, 21, 25), _UNKNOWN),
    7: "its certificate has a wrong signature",
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    24: "its certificate is of something that is no authority",
    26: "its certificate is not for a server",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
    66: "its certificate has a weak key",
}
"""Verification results of OpenSSL (X509_V_ERR_...)."""
_REASONS: Final[Mapping[str, str]] = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection during the handshake (no TLS on this port?)",
    "UNSUPPORTED_PROTOCOL": "its TLS version is too old",
    "VERSION_TOO_LOW": "its TLS version is too old",
}


def words(error: ssl.SSLError) -> str:
    """Why a broker was refused, or why it refused us, for the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        told = _VERIFY.get(error.verify_code, f"its certificate is refused: {error.verify_message}")
        return f"the broker is not trusted: {told}"
    reason = error.reason or ""
    if "_ALERT_" in reason:
        return f"the broker refused our TLS: {reason.partition('_ALERT_')[2].replace('_', ' ').lower()}"
    return f"no TLS with the broker: {_REASONS.get(reason, reason.replace('_', ' ').lower() or str(error))}"
