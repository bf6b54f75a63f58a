"""Who asks: user tokens of ActivateSession (Part 4, 7.41), each proven over the session's last server nonce."""

from __future__ import annotations

import asyncio
import datetime
import hmac
import time
from typing import Any, Final

from gateway.contracts import Log
from gateway.users import Lockout
from gateway.users.store import User, UserFileError, UserStore
from protocols.opcua.certificates import Certificate, CertificateError, parse_chain
from protocols.opcua.channel import Identity
from protocols.opcua.endpoints import ANONYMOUS, CERTIFICATE, USERNAME
from protocols.opcua.errors import ServiceFault
from protocols.opcua.plan import ServerPlan
from protocols.opcua.policies import POLICIES, CryptoError, Policy
from protocols.opcua.trust import NotTrusted, check_application
from protocols.opcua.uastack import Codes, ua

MAX_SECRET: Final = 4096
_KINDS: Final = {
    ua.UserNameIdentityToken: USERNAME,
    ua.X509IdentityToken: CERTIFICATE,
    ua.AnonymousIdentityToken: ANONYMOUS,
}


class Users:
    """Verifies tokens against the users file, with the brake on guessing. One per server."""

    def __init__(self, plan: ServerPlan, identity: Identity, store: UserStore, log: Log) -> None:
        self._plan, self._identity, self._store, self._log = plan, identity, store, log
        self._lockout = Lockout()
        self._hashing = asyncio.Semaphore(1)
        """One hash at a time: the session's others keep the second core."""
        self._broken = ""
        self._proofs = {USERNAME: self._password, CERTIFICATE: self._certificate}

    def refresh(self) -> bool:
        """Read the users file if it has changed (True); a broken one is logged once and changes nothing."""
        if not self._plan.users:
            return False
        changed = False
        try:
            changed = self._store.refresh()
            if changed:
                self._log.info("users read", file=str(self._store.path), users=len(self._store.users))
                self._broken = ""
        except UserFileError as error:
            if self._broken != str(error):
                self._broken = str(error)
                self._log.error("users file is of no use: those known before stay", cause=str(error))
        return changed

    def known(self, name: str) -> User | None:
        """The user as the file has it now."""
        return self._store.users.get(name)

    async def authenticate(self, parameters: Any, nonce: bytes, address: str) -> User | None:
        """The user of the token; None: anonymous. Raises `ServiceFault`."""
        token = parameters.UserIdentityToken
        kind, policy = self._kind(token)
        if kind == ANONYMOUS:
            return None
        name = str(getattr(token, "UserName", "") or "")[:128]
        keys = (f"address {address}", *((f"user {name}",) if name else ()))
        now_s = time.monotonic()
        wait_s = self._lockout.remaining_s(now_s, *keys)
        if wait_s > 0:
            raise ServiceFault(Codes.BadUserAccessDenied, f"locked for {wait_s:.0f} s more after failed logins")
        self.refresh()
        user = await self._proofs[kind](token, parameters.UserTokenSignature, nonce, policy)
        if user is None:
            wait_s = self._lockout.failed(time.monotonic(), *keys)
            locked = f"; locked for {wait_s:.0f} s" if wait_s > 0 else ""
            raise ServiceFault(
                Codes.BadUserAccessDenied, f"wrong user or proof (user {name or 'by certificate'}){locked}"
            )
        self._lockout.succeeded(*keys)
        return user

    def _kind(self, token: Any) -> tuple[str, Policy]:
        """Kind and policy of a token, as offered by our endpoints."""
        kind = _KINDS.get(type(token))
        if kind is None:
            # No token at all is an anonymous one (Part 4, 5.6.3.2).
            empty = isinstance(token, ua.ExtensionObject) and token.Body is None
            if not (empty and self._plan.anonymous):
                raise ServiceFault(Codes.BadIdentityTokenInvalid, "a user token of a kind that is not known")
            return ANONYMOUS, POLICIES[self._plan.policies[0]]
        named, _, policy_name = (token.PolicyId or "").partition("_")
        if kind == ANONYMOUS:
            if not self._plan.anonymous:
                raise ServiceFault(Codes.BadIdentityTokenRejected, "anonymous clients are not let in")
            return kind, POLICIES[self._plan.policies[0]]
        if not self._plan.users or named != kind or policy_name not in self._plan.policies:
            raise ServiceFault(Codes.BadIdentityTokenInvalid, "a user token under a policy that was not offered")
        return kind, POLICIES[policy_name]

    async def _password(self, token: Any, _: Any, nonce: bytes, policy: Policy) -> User | None:
        if not token.EncryptionAlgorithm:
            raise ServiceFault(Codes.BadIdentityTokenInvalid, "the password is not encrypted")
        try:
            password = self._secret(token.Password or b"", nonce, policy)
        except (CryptoError, UnicodeDecodeError):
            return None
        async with self._hashing:
            user = await asyncio.to_thread(self._store.verify_password, token.UserName or "", password)
        if user is not None and user.must_change:
            raise ServiceFault(Codes.BadUserAccessDenied, "the first password is to be changed at the gateway's page")
        return user

    def _secret(self, data: bytes, nonce: bytes, policy: Policy) -> str:
        """Legacy token secret (Part 4, 7.41.2.2): length, password, server nonce. Raises `CryptoError`."""
        if len(data) > MAX_SECRET:
            raise CryptoError("too long")
        plain = policy.decrypt(self._identity.key, data)
        end = 4 + int.from_bytes(plain[:4], "little")
        if len(plain) < 4 or end != len(plain) or not hmac.compare_digest(plain[end - len(nonce) : end], nonce):
            raise CryptoError("not over the last nonce")
        return plain[4 : end - len(nonce)].decode("utf-8")

    async def _certificate(self, token: Any, signature: Any, nonce: bytes, policy: Policy) -> User | None:
        try:
            certificate = parse_chain(token.CertificateData or b"")[0]
            check_application(certificate, datetime.datetime.now(datetime.UTC))
            self.verify(certificate, signature, nonce, policy)
        except (CertificateError, CryptoError, NotTrusted) as error:
            self._log.warning("user certificate is of no use", cause=str(error))
            return None
        return self._store.by_certificate(certificate.fingerprint)

    def verify(self, certificate: Certificate, signature: Any, nonce: bytes, policy: Policy) -> None:
        """A signature over our certificate and nonce. Raises `CryptoError`.

        The policy says how it is signed, whatever name the client gives the algorithm: node-opcua gives a wrong one
        for RSA-PSS. What our certificate is, clients see differently where it comes with a chain: both are taken.
        """
        if signature is None:
            raise CryptoError("no signature")
        own = self._identity
        try:
            policy.verify(certificate, own.certificate.der + nonce, signature.Signature or b"")
        except CryptoError:
            if not own.chain:
                raise
            policy.verify(certificate, own.certificate.der + own.chain + nonce, signature.Signature or b"")
