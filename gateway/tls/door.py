"""Who may come in: contexts by master, and the verdict on who came through the handshake. Reads files, and the clock.

Each master comes in by a certificate of the server's authority, or by one of its own that is pinned; and only with a
subject and a fingerprint that its configuration allows.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.contracts import Log
from gateway.tls import certificates, files
from gateway.tls.context import tls_context
from gateway.tls.findings import findings
from gateway.tls.plan import TlsMasterPlan, TlsPlan
from gateway.tls.words import NO_CERTIFICATE

SESSION_S: Final = 3_600.0
"""Contexts are made anew after this: a session of TLS 1.2 can be resumed no longer."""

_Kind = tuple[bool, frozenset[str]]
"""Whether we connect, and those of the masters on the other side that have pinned certificates."""


class TlsDoor:
    """Contexts, made anew when a file changes, and verdicts.

    `groups`: masters that share an address, beside each master alone; all of a group have pinned certificates, or none
    has. `dialled`: those that we connect to. A file that changed to something that cannot be used is told once; what
    was read before stays in force. An expired revocation list refuses everyone: who may be revoked is not let in.
    """

    def __init__(
        self, plan: TlsPlan, log: Log, groups: Iterable[Sequence[str]] = (), dialled: Iterable[Sequence[str]] = ()
    ) -> None:
        self.plan = plan
        self._log = log
        self._kinds = {self._kind((name,), client=False) for name in plan.masters}
        self._kinds |= {self._kind(group, client=False) for group in groups}
        self._kinds |= {self._kind(group, client=True) for group in dialled}
        if plan.ca or plan.anyone:
            self._kinds.add((False, frozenset()))
        self._contexts: dict[_Kind, ssl.SSLContext] = {}
        self._pins: dict[str, frozenset[str]] = {}
        self._state: tuple[object, ...] = ()
        self._made_at = 0.0

    def open(self) -> None:
        """Read every file. Raises `OSError` when one is missing or does not hold what it should."""
        self._state = files.state(self.plan)
        self._make()
        for finding in findings(self.plan):
            self._log.warning("tls files", finding=finding.text)

    def context(self, masters: Sequence[str], *, client: bool = False) -> ssl.SSLContext:
        """The context for a new connection that is of one of these masters."""
        state = files.state(self.plan)
        changed = state != self._state
        if changed or time.monotonic() - self._made_at > SESSION_S:
            self._state = state
            try:
                self._make()
            except OSError as error:
                self._made_at = time.monotonic()
                self._log.error("tls files cannot be used: those read before stay in force", cause=str(error))
            else:
                if changed:
                    self._log.info("tls files read again")
        return self._contexts[self._kind(masters, client=client)]

    def admitted(self, masters: Sequence[str], link: ssl.SSLObject) -> tuple[list[str], str]:
        """Those of the masters whose certificate passed the handshake; if none, why not."""
        refusals = {master: self.refusal(master, link) for master in masters}
        let_in = [master for master, cause in refusals.items() if not cause]
        return let_in, "" if let_in else "; ".join(dict.fromkeys(refusals.values()))

    def refusal(self, master: str, link: ssl.SSLObject) -> str:
        """Why the certificate that passed the handshake is not this master's; empty when it is."""
        der, peer = link.getpeercert(binary_form=True), link.getpeercert()
        if not der or not peer:
            return NO_CERTIFICATE
        # A resumed session of TLS 1.2 was checked when it began, perhaps before its certificate ended.
        if certificates.validity(der)[1] < time.time():
            return "certificate has expired"
        rules = self.plan.masters.get(master, TlsMasterPlan())
        subject = certificates.subject_of(peer)
        words = certificates.subject_words(subject)
        found = certificates.fingerprint(der)
        if rules.certificates and found not in self._pins[master]:
            return f"certificate of {words} is none of those pinned for {master}"
        if rules.fingerprints and found not in rules.fingerprints:
            return f"certificate of {words} has none of the fingerprints of {master}"
        if rules.subjects and not certificates.fits(subject, rules.subjects):
            return f"certificate of {words} is not allowed for {master}"
        return ""

    def _kind(self, masters: Sequence[str], *, client: bool) -> _Kind:
        known = self.plan.masters
        return client, frozenset(name for name in masters if name in known and known[name].certificates)

    def _make(self) -> None:
        contexts = {
            (client, pinned): tls_context(self.plan, sorted(pinned), client=client) for client, pinned in self._kinds
        }
        self._pins = {
            name: frozenset(certificates.fingerprint(der) for path in rules.certificates for der in files.blocks(path))
            for name, rules in self.plan.masters.items()
        }
        self._contexts, self._made_at = contexts, time.monotonic()
