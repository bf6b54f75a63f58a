"""TLS of the listener: 1.2 or newer, both sides with certificates (IEC 62351-3). Reads files: for the shell alone."""

from __future__ import annotations

import ssl

from protocols.iec104.plan import TlsPlan


def server_context(plan: TlsPlan) -> ssl.SSLContext:
    """A context that demands a client certificate of `plan.ca`.

    Raises `OSError` (of which `ssl.SSLError` is one) when a file is missing or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(plan.certificate, plan.key, plan.passphrase or "")
    context.load_verify_locations(plan.ca)
    return context
