"""Services without an activated session: opening a channel, discovery, the life of sessions (Part 4, 5.4 to 5.6)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from protocols.opcua.certificates import CertificateError, parse_chain
from protocols.opcua.channel import NO_SECURITY
from protocols.opcua.errors import ChannelFault, ServiceFault, code_name
from protocols.opcua.policies import CryptoError
from protocols.opcua.services import ServiceTable
from protocols.opcua.sessions import OpcUaSession
from protocols.opcua.uastack import Codes, ua

if TYPE_CHECKING:
    from protocols.opcua.host import Host
    from protocols.opcua.processor import Processor

MIN_TOKEN_S: Final = 1.0
MIN_NONCE: Final = 32
MAX_TEXT: Final = 4096


class SessionServices:
    """Handlers whose caller is the `Processor`, not a session."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def install(self, table: ServiceTable) -> None:
        """Register every handler."""
        table.add(ua.OpenSecureChannelRequest, self.open_channel)
        table.add(ua.FindServersRequest, self.find_servers)
        table.add(ua.GetEndpointsRequest, self.get_endpoints)
        table.add(ua.CreateSessionRequest, self.create)
        table.add(ua.ActivateSessionRequest, self.activate)
        table.add(ua.CloseSessionRequest, self.close)

    def open_channel(self, home: Processor, request: Any) -> Any:
        """OpenSecureChannel, to issue or to renew."""
        asked, channel, limits = request.Parameters, home.channel, self._host.plan.limits
        renew = asked.RequestType == ua.SecurityTokenRequestType.Renew
        lifetime_s = min(max(asked.RequestedLifetime / 1000.0, MIN_TOKEN_S), limits.max_token_lifetime_s)
        mode = int(asked.SecurityMode)
        if mode != NO_SECURITY and mode not in self._host.plan.modes:
            raise ChannelFault(Codes.BadSecurityModeRejected, f"security mode {mode} is not offered")
        token, nonce = channel.accept(renew, mode, asked.ClientNonce or b"", lifetime_s, time.monotonic())
        home.connection.opened(renew)
        response = ua.OpenSecureChannelResponse()
        response.Parameters.ServerNonce = nonce
        response.Parameters.SecurityToken.ChannelId = channel.id
        response.Parameters.SecurityToken.TokenId = token
        response.Parameters.SecurityToken.RevisedLifetime = int(lifetime_s * 1000)
        return response

    def find_servers(self, home: Processor, request: Any) -> Any:
        """FindServers: this one, unless others are asked for."""
        asked = request.Parameters
        application = self._host.endpoints.application(asked.EndpointUrl or home.connection.url)
        wanted = asked.ServerUris or [application.ApplicationUri]
        response = ua.FindServersResponse()
        response.Servers = [application] if application.ApplicationUri in wanted else []
        return response

    def get_endpoints(self, home: Processor, request: Any) -> Any:
        """GetEndpoints, under the host name that the client used."""
        asked = request.Parameters
        response = ua.GetEndpointsResponse()
        url = asked.EndpointUrl or home.connection.url
        response.Endpoints = self._host.endpoints.descriptions(url, asked.ProfileUris or [])
        return response

    def create(self, home: Processor, request: Any) -> Any:
        """CreateSession: the client is who the channel's certificate says, and reached whom it meant."""
        try:
            return self._create(home, request.Parameters)
        except ServiceFault as fault:
            self._refused(home, "session refused", fault)
            raise

    def _create(self, home: Processor, asked: Any) -> Any:
        host, channel = self._host, home.channel
        if channel.policy is None and not host.plan.allow_none:
            raise ServiceFault(
                Codes.BadSecurityPolicyRejected, "no session without security: policy None is for discovery"
            )
        uri = (asked.ClientDescription.ApplicationUri or "")[:MAX_TEXT]
        if channel.policy is not None:
            self._check_client(channel, asked, uri)
        self._check_url(home, asked.EndpointUrl or "")
        session = host.sessions.create(home, asked, uri, time.monotonic())
        response = ua.CreateSessionResponse()
        made = response.Parameters
        made.SessionId, made.AuthenticationToken = session.id, session.token
        made.RevisedSessionTimeout = session.timeout_s * 1000.0
        made.ServerNonce = session.fresh_nonce()
        made.ServerCertificate = host.identity.certificate.der + host.identity.chain
        made.ServerEndpoints = host.endpoints.descriptions(asked.EndpointUrl or home.connection.url, [])
        made.MaxRequestMessageSize = host.plan.limits.message_size
        if channel.policy is not None:
            made.ServerSignature.Algorithm = channel.policy.signature_uri
            signed = (asked.ClientCertificate or b"") + (asked.ClientNonce or b"")
            made.ServerSignature.Signature = channel.policy.sign(host.identity.key, signed)
        return response

    def _check_client(self, channel: Any, asked: Any, uri: str) -> None:
        try:
            shown = parse_chain(asked.ClientCertificate or b"")[0]
        except CertificateError as error:
            raise ServiceFault(Codes.BadCertificateInvalid, f"client certificate of the session: {error}") from None
        if shown != channel.peer:
            raise ServiceFault(Codes.BadCertificateInvalid, "the session's certificate is not the channel's")
        if uri not in shown.uris:
            known = ", ".join(shown.uris) or "no URI"
            raise ServiceFault(
                Codes.BadCertificateUriInvalid, f"application {uri!r:.200}; its certificate says {known}"
            )
        if len(asked.ClientNonce or b"") < MIN_NONCE:
            raise ServiceFault(Codes.BadNonceInvalid, "the client's nonce is too short")

    def _check_url(self, home: Processor, url: str) -> None:
        """Part 4, 5.6.2.2: the host that the client meant must be one that our certificate names."""
        endpoints = self._host.endpoints
        if not self._host.plan.check_host or not url or endpoints.knows_host(url, home.connection.local_address):
            return
        raise ServiceFault(
            Codes.BadCertificateHostNameInvalid,
            f"the client meant {url[:200]!r}; our certificate does not name this host (key hosts)",
        )

    async def activate(self, home: Processor, request: Any) -> Any:
        """ActivateSession: nothing of the session changes before all of it is right."""
        session = self._host.sessions.any(request.RequestHeader.AuthenticationToken)
        try:
            if session is None:
                raise ServiceFault(Codes.BadSessionIdInvalid, "no session of this token")
            return await self._activate(home, session, request.Parameters)
        except ServiceFault as fault:
            self._refused(home, "login refused", fault)
            raise

    async def _activate(self, home: Processor, session: OpcUaSession, asked: Any) -> Any:
        host, channel = self._host, home.channel
        if not session.belongs_to(channel) or (not session.activated and session.home is not home):
            raise ServiceFault(Codes.BadSecurityChecksFailed, "a session of another certificate or channel")
        nonce = session.nonce
        if channel.policy is not None and channel.peer is not None:
            try:
                host.users.verify(channel.peer, asked.ClientSignature, nonce, channel.policy)
            except CryptoError as error:
                raise ServiceFault(Codes.BadApplicationSignatureInvalid, f"client signature: {error}") from None
        user = await host.users.authenticate(asked, nonce, home.address)
        if session.nonce != nonce or host.sessions.any(session.token) is not session or home.connection.closed:
            raise ServiceFault(Codes.BadNonceInvalid, "activated twice at once, or closed meanwhile")
        if session.activated and session.user != (user.name if user else "") and session.home is not home:
            raise ServiceFault(Codes.BadIdentityTokenRejected, "a session of another user")
        host.sessions.check_user_cap(session, user)
        moved = session.home is not home
        session.take(home, user)
        session.last_s = time.monotonic()
        session.locales = tuple(str(locale)[:32] for locale in (asked.LocaleIds or ())[:8] if locale)
        home.connection.activated()
        host.audit("login" if not moved else "session moved", home, session)
        response = ua.ActivateSessionResponse()
        response.Parameters.ServerNonce = session.fresh_nonce()
        return response

    def close(self, home: Processor, request: Any) -> Any:
        """CloseSession, of a session on its own channel."""
        session = self._host.sessions.find(request.RequestHeader.AuthenticationToken, home)
        if session is None:
            raise ServiceFault(Codes.BadSessionIdInvalid, "no session of this token on this channel")
        self._host.sessions.close(session, bool(request.DeleteSubscriptions), "closed by the client")
        return ua.CloseSessionResponse()

    def _refused(self, home: Processor, what: str, fault: ServiceFault) -> None:
        client = home.channel.peer.name if home.channel.peer else ""
        self._host.log.warning(what, peer=home.peer, client=client, status=code_name(fault.code), cause=str(fault))
        self._host.record(what, peer=home.peer, client=client, status=code_name(fault.code), cause=str(fault))
