"""What the server says of itself: endpoint descriptions, and the application behind them (Part 4, 7.14 and 7.2)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from protocols.opcua.channel import NO_SECURITY, SIGN_AND_ENCRYPT, Identity
from protocols.opcua.plan import ServerPlan
from protocols.opcua.policies import NONE_URI, POLICIES
from protocols.opcua.uastack import ua

TRANSPORT: Final = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
USERNAME, CERTIFICATE, ANONYMOUS = "username", "certificate", "anonymous"
"""Policy ids of user tokens."""
_LEVEL: Final = {"Basic256Sha256": 10, "Aes128_Sha256_RsaOaep": 8, "Aes256_Sha256_RsaPss": 20}
MAX_URL: Final = 4096


class Endpoints:
    """Descriptions for whatever URL a client used: it gets back the host name under which it sees us."""

    def __init__(self, plan: ServerPlan, identity: Identity) -> None:
        self._plan = plan
        self._certificate = identity.certificate.der + identity.chain
        self._hosts = frozenset(identity.certificate.hosts)

    def application(self, url: str) -> Any:
        """`ApplicationDescription` of this server."""
        return ua.ApplicationDescription(
            ApplicationUri=self._plan.application_uri,
            ProductUri="urn:gridgate",
            ApplicationName=ua.LocalizedText(f"GridGate {self._plan.name}"),
            ApplicationType=ua.ApplicationType.Server,
            DiscoveryUrls=[self.url(url)],
        )

    def descriptions(self, url: str, profiles: list[str]) -> list[Any]:
        """`EndpointDescription`s under the host name of `url`, for these transport profiles (empty: all)."""
        if profiles and TRANSPORT not in profiles:
            return []
        offers = [(name, mode) for name in self._plan.policies for mode in self._plan.modes]
        made = [self._description(url, POLICIES[name].uri, mode, _LEVEL[name] + mode) for name, mode in offers]
        if self._plan.allow_none:
            made.append(self._description(url, NONE_URI, NO_SECURITY, 0))
        return made

    def url(self, asked: str) -> str:
        """This server's URL with the host that the client used if it is plausible, our own otherwise."""
        host, port = self._plan.host, self._plan.port
        try:
            parts = urlsplit(asked[:MAX_URL])
            named, number = parts.hostname, parts.port or port
        except ValueError:
            named, number = None, port
        if named and all(c.isalnum() or c in "-._:" for c in named):
            host, port = named, number
        return f"opc.tcp://{f'[{host}]' if ':' in host else host}:{port}{self._plan.path}"

    def knows_host(self, asked: str, local: str) -> bool:
        """Whether our certificate names the host of this URL, or it is the address that the client reached."""
        try:
            host = urlsplit(asked[:MAX_URL]).hostname or ""
        except ValueError:
            return False
        return host.lower() in self._hosts or host == local

    def _description(self, url: str, policy_uri: str, mode: int, level: int) -> Any:
        return ua.EndpointDescription(
            EndpointUrl=self.url(url),
            Server=self.application(url),
            ServerCertificate=self._certificate,
            SecurityMode=ua.MessageSecurityMode(mode),
            SecurityPolicyUri=policy_uri,
            UserIdentityTokens=self._tokens(policy_uri),
            TransportProfileUri=TRANSPORT,
            SecurityLevel=min(255, level + (2 if mode == SIGN_AND_ENCRYPT else 0)),
        )

    def _tokens(self, policy_uri: str) -> list[Any]:
        """Secrets of users are encrypted whatever the channel does: each token names a policy that can."""
        token_uri = policy_uri if policy_uri != NONE_URI else POLICIES[self._plan.policies[0]].uri
        kinds = []
        if self._plan.users:
            kinds += [(USERNAME, ua.UserTokenType.UserName), (CERTIFICATE, ua.UserTokenType.Certificate)]
        if self._plan.anonymous:
            kinds.append((ANONYMOUS, ua.UserTokenType.Anonymous))
        return [
            ua.UserTokenPolicy(
                PolicyId=f"{name}_{token_uri.rpartition('#')[2]}",
                TokenType=kind,
                SecurityPolicyUri=None if name == ANONYMOUS else token_uri,
            )
            for name, kind in kinds
        ]
