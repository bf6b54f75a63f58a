"""TLS of a listener and of what we dial: 1.2 or newer, both sides with certificates. Reads files."""

from __future__ import annotations

import ssl

from protocols.dnp3.plan import TlsPlan


def server_context(plan: TlsPlan) -> ssl.SSLContext:
    """For masters that connect to us: each must show a certificate that `plan.ca` signed.

    Raises `OSError` (of which `ssl.SSLError` is one) when a file is missing or does not hold what it should.
    """
    return _with_files(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), plan)


def client_context(plan: TlsPlan) -> ssl.SSLContext:
    """For masters that we connect to: the same demand; they are known by their certificate, not by a host name.

    Raises `OSError` as `server_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _with_files(context, plan)


def _with_files(context: ssl.SSLContext, plan: TlsPlan) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(plan.certificate, plan.key, plan.passphrase or "")
    context.load_verify_locations(plan.ca)
    return context
