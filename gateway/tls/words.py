"""Why a handshake failed, in words for the log."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

NO_CERTIFICATE: Final = "no certificate shown"
_UNKNOWN: Final = "certificate of an unknown authority"
_PLAIN: Final = "plain text on a TLS port, or something else that is no TLS"

_VERIFY_WORDS: Final[Mapping[int, str]] = {
    **dict.fromkeys((2, 18, 19, 20, 21, 25), _UNKNOWN),
    3: "no revocation list of the certificate's authority",
    7: "certificate with a wrong signature",
    8: "revocation list with a wrong signature",
    9: "certificate is not valid yet",
    10: "certificate has expired",
    11: "revocation list is not valid yet",
    12: "revocation list has expired: nobody is let in until a new one is in place",
    23: "certificate is revoked",
    24: "certificate of something that is no authority",
    26: "certificate is not for a client",
    66: "certificate with a weak key",
    67: "certificate of an authority with a weak key",
    68: "certificate with a weak signature",
}
"""Verification results of OpenSSL (X509_V_ERR_...)."""

_REASON_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "WRONG_VERSION_NUMBER",
            "HTTP_REQUEST",
            "HTTPS_PROXY_REQUEST",
            "RECORD_LAYER_FAILURE",
            "PACKET_LENGTH_TOO_LONG",
            "UNEXPECTED_MESSAGE",
            "BAD_RECORD_TYPE",
        ),
        _PLAIN,
    ),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": NO_CERTIFICATE,
    "UNSUPPORTED_PROTOCOL": "TLS version too old",
    "VERSION_TOO_LOW": "TLS version too old",
    "NO_SHARED_CIPHER": "no cipher suite in common",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no signature algorithm in common",
}


def words(error: ssl.SSLError, *, client: bool = False) -> str:
    """Why a handshake failed, for the log; `client`: it was ours."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if client and error.verify_code == 26:
            return "certificate is not for a server"
        return _VERIFY_WORDS.get(error.verify_code, f"certificate refused: {error.verify_message}")
    reason = error.reason or ""
    if "_ALERT_" in reason:
        return f"the master refused: {reason.partition('_ALERT_')[2].replace('_', ' ').lower()}"
    return _REASON_WORDS.get(reason, f"handshake failed: {reason.replace('_', ' ').lower() or error}")
