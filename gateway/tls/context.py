"""`ssl` contexts of a plan: 1.2 or newer, no renegotiation, no compression, no session ticket."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Final

from gateway.tls.plan import TlsMasterPlan, TlsPlan

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!PSK:@SECLEVEL=2"
"""Of TLS 1.2; all suites of 1.3 are of that strength."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CHECK_LISTS: Final = ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
_PARTIAL_CHAIN: Final = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def tls_context(plan: TlsPlan, masters: Iterable[str] = (), *, client: bool = False) -> ssl.SSLContext:
    """A context that demands a certificate: one of those pinned for these masters, or, if none is, one of `plan.ca`;
    or none, with `plan.anyone`.

    `client`: we connect to them. They are known by their certificate then, not by a host name.

    Raises `OSError` (of which `ssl.SSLError` is one) when a file is missing or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER)
    context.check_hostname = False
    context.minimum_version = _VERSIONS[plan.minimum]
    context.set_ciphers(CIPHERS)
    context.verify_mode = ssl.CERT_NONE if plan.anyone else ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    if not client:
        context.num_tickets = 0
    context.load_cert_chain(plan.certificate, plan.key, plan.passphrase or "")
    rules = [plan.masters.get(master, TlsMasterPlan()) for master in masters]
    pinned = [path for rule in rules for path in rule.certificates]
    if pinned:
        # A pinned certificate is trusted by itself, whoever signed it.
        context.verify_flags |= _PARTIAL_CHAIN
        for path in pinned:
            context.load_verify_locations(path)
    elif plan.ca:
        context.load_verify_locations(plan.ca)
        if plan.crl:
            context.load_verify_locations(plan.crl)
            context.verify_flags |= _CHECK_LISTS
    return context
