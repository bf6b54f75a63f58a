"""Sessions: made on a secured channel, bound to it and to its certificate, taken over by nobody else.

A session moves to another channel only when everything about that request is right: the same client certificate,
policy and mode, a fresh signature with that certificate's key, and the same user with a fresh proof. Until then
nothing of the session changes (Part 4, 5.6.3).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from gateway.contracts import Log
from gateway.users import highest
from gateway.users.store import User
from protocols.opcua.certificates import Certificate
from protocols.opcua.errors import ServiceFault
from protocols.opcua.plan import LimitPlan
from protocols.opcua.uastack import Codes, ua

if TYPE_CHECKING:
    from protocols.opcua.channel import SecureChannel
    from protocols.opcua.processor import Processor

TOKEN_SIZE: Final = 32
MIN_TIMEOUT_S: Final = 10.0


class OpcUaSession:
    """Implements `protocols.opcua.services.Session`, with what only the wire side needs."""

    def __init__(self, home: Processor, name: str, application_uri: str, timeout_s: float, max_response: int) -> None:
        channel = home.channel
        self.id = _random_id()
        self.token = _random_id()
        self.name, self.application_uri = name, application_uri
        self.user = ""
        self.roles: frozenset[str] = frozenset()
        self.role = ""
        self.locales: tuple[str, ...] = ()
        self.read_only = channel.policy is None
        self.policy = channel.policy.name if channel.policy else "None"
        self.mode = channel.mode
        self.max_response = max_response
        self.certificate: Certificate | None = channel.peer
        self.timeout_s = timeout_s
        self.nonce = b""
        self.activated = False
        self.last_s = 0.0
        self.outstanding = 0
        self.home: Processor | None = home
        self._last_peer: str = home.peer
        self._hooks: list[Callable[[bool], None]] = []

    @property
    def peer(self) -> str:
        return self.home.peer if self.home is not None else self._last_peer

    @property
    def origin_peer(self) -> str:
        return f"{self.user or 'anonymous'}@{self.peer}"

    @property
    def congested(self) -> bool:
        return self.home is None or self.home.congested

    def on_close(self, hook: Callable[[bool], None]) -> None:
        self._hooks.append(hook)

    def fresh_nonce(self) -> bytes:
        """The server nonce that the next proof must be made over."""
        self.nonce = secrets.token_bytes(32)
        return self.nonce

    def belongs_to(self, channel: SecureChannel) -> bool:
        """Whether this channel has the certificate, policy and mode of the one it was made on."""
        policy = channel.policy.name if channel.policy else "None"
        return (channel.peer, policy, channel.mode) == (self.certificate, self.policy, self.mode)

    def take(self, home: Processor, user: User | None) -> None:
        """All proofs were right: it is this connection's, and this user's."""
        self.home, self._last_peer = home, home.peer
        self.activated = True
        self.become(user)

    def become(self, user: User | None) -> None:
        """This user's rights; None: an anonymous client's."""
        self.user = user.name if user else ""
        self.roles = user.all_roles if user else frozenset(("viewer",))
        self.role = highest(self.roles)

    def leave(self) -> None:
        """Its connection is gone; it waits for another one."""
        self.home = None

    def ended(self, delete_subscriptions: bool) -> None:
        """Tell whoever wanted to know; once."""
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook(delete_subscriptions)


class Sessions:
    """All sessions of a server. `now_s` is passed in; `expire` is called once a second or so."""

    def __init__(self, limits: LimitPlan, log: Log) -> None:
        self._limits = limits
        self._log = log
        self._by_token: dict[Any, OpcUaSession] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    def __iter__(self) -> Any:
        return iter(list(self._by_token.values()))

    def create(self, home: Processor, request: Any, application_uri: str, now_s: float) -> OpcUaSession:
        """A session that is not activated. Raises `ServiceFault` when there are too many."""
        for other in self:
            if other.home is home and not other.activated:
                self.close(other, True, "another one was made before it was activated")
        self._make_room(home)
        wanted_s = request.RequestedSessionTimeout / 1000.0
        timeout_s = min(max(wanted_s, MIN_TIMEOUT_S), self._limits.max_session_idle_s)
        name = (request.SessionName or "")[:128]
        session = OpcUaSession(home, name, application_uri, timeout_s, int(request.MaxResponseMessageSize))
        session.last_s = now_s
        self._by_token[session.token] = session
        return session

    def find(self, token: Any, home: Processor) -> OpcUaSession | None:
        """The session of this token on this connection. A token seen elsewhere is none."""
        session = self.any(token)
        return session if session is not None and session.home is home else None

    def any(self, token: Any) -> OpcUaSession | None:
        """The session of this token wherever it lives; for `ActivateSession` alone."""
        if getattr(token, "NodeIdType", None) != ua.NodeIdType.ByteString:
            return None
        return self._by_token.get(token)

    def check_user_cap(self, session: OpcUaSession, user: User | None) -> None:
        """Raises `ServiceFault` when the user has too many sessions; one without a connection gives way first."""
        name = user.name if user else ""
        of_user = [other for other in self if other.activated and other.user == name and other is not session]
        if len(of_user) < self._limits.sessions_per_user:
            return
        self._evict([other for other in of_user if other.home is None], "its user needs the place")

    def close(self, session: OpcUaSession, delete_subscriptions: bool, cause: str) -> None:
        """End one, for a reason that is logged."""
        if self._by_token.pop(session.token, None) is None:
            return
        if session.activated:
            self._log.info("session closed", user=session.user or "anonymous", peer=session.peer, cause=cause)
        session.ended(delete_subscriptions)
        home, session.home = session.home, None
        if home is not None and not any(other.home is home for other in self):
            home.connection.opened(False)

    def connection_lost(self, home: Processor) -> None:
        """Activated sessions wait for a new connection; the others were never anyone's."""
        for session in self:
            if session.home is home:
                session.leave()
                if not session.activated:
                    self.close(session, True, "its connection ended before it was activated")

    def expire(self, now_s: float) -> None:
        """Close what was idle for too long."""
        for session in self:
            if now_s - session.last_s > session.timeout_s and session.outstanding == 0:
                self.close(session, False, f"idle for {session.timeout_s:g} s")

    def stop(self) -> None:
        """The server ends."""
        for session in self:
            self.close(session, True, "the server stops")

    def _make_room(self, home: Processor) -> None:
        if len(self) < self._limits.sessions:
            return
        self._evict([other for other in self if other.home is None], "its place is needed")

    def _evict(self, candidates: list[OpcUaSession], cause: str) -> None:
        if not candidates:
            raise ServiceFault(Codes.BadTooManySessions, "too many sessions")
        self.close(min(candidates, key=lambda other: other.last_s), False, cause)


def _random_id() -> Any:
    return ua.NodeId(secrets.token_bytes(TOKEN_SIZE), 0, ua.NodeIdType.ByteString)
