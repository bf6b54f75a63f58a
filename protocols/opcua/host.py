"""What all connections of a server share: identity, trust, users, sessions, services, caps, the log of refusals."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.audit import AuditLog
from gateway.contracts import Log
from gateway.refusals import Refusals
from gateway.users.store import UserStore
from protocols.opcua import wire
from protocols.opcua.certificates import Certificate
from protocols.opcua.channel import SecureChannel
from protocols.opcua.connection import Connection
from protocols.opcua.decoder import STRUCTURE_COST
from protocols.opcua.endpoints import Endpoints
from protocols.opcua.errors import ChannelFault, code_name
from protocols.opcua.owncertificate import own_identity, pki_folder, warn_of_expiry
from protocols.opcua.plan import ServerPlan
from protocols.opcua.policies import POLICIES
from protocols.opcua.services import ServiceTable
from protocols.opcua.sessions import OpcUaSession, Sessions
from protocols.opcua.sessionservices import SessionServices
from protocols.opcua.trust import NotTrusted, TrustList
from protocols.opcua.uastack import Codes
from protocols.opcua.usertokens import Users

if TYPE_CHECKING:
    from protocols.opcua.processor import Processor

EARLY_MESSAGE: Final = 65_536
EARLY_CHUNKS: Final = 8
"""What anyone may send before a session is activated: certificates, and a login."""
CLOSE_TIMEOUT_S: Final = 1.0
TICK_S: Final = 1.0
EXPIRY_LOOK_S: Final = 86_400.0
CAUSES_KEPT: Final = 1_000
REFUSALS_TOLD: Final = 100
"""Of one address in a minute."""


class Host:
    """One server's wire side. Raises `OSError` or `CertificateError` when its certificate cannot be had."""

    def __init__(self, plan: ServerPlan, table: ServiceTable, state_dir: Path, log: Log) -> None:
        self.plan, self.table, self.log = plan, table, log
        folder = pki_folder(plan, state_dir)
        self.trust = TrustList(folder, log, plan.pki.require_crl)
        self.identity = own_identity(plan, folder, log)
        self.endpoints = Endpoints(plan, self.identity)
        self.sessions = Sessions(plan.limits, log)
        self.users = Users(plan, self.identity, UserStore(Path(plan.users)), log)
        self.users.refresh()
        self.without_session = ServiceTable()
        SessionServices(self).install(self.without_session)
        self.limits = wire.Limits(message=EARLY_MESSAGE, chunks=EARLY_CHUNKS)
        """Until a session is activated."""
        self.budget = plan.limits.array_length * STRUCTURE_COST
        self.malformed = 0
        self._audit = AuditLog(state_dir / "audit", log.bind(part="audit"), f"opcua-{plan.name}", "")
        self._policies = frozenset(POLICIES[name].uri for name in plan.policies)
        self._connections: set[Connection] = set()
        self._addresses: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._minute_s = 0.0
        self.refusals = Refusals(log, CAUSES_KEPT)
        self._listener: asyncio.Server | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._look_s = 0.0
        self._all_gone: asyncio.Event | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._audit.start()
        self._listener = await loop.create_server(lambda: Connection(self), self.plan.host, self.plan.port, backlog=64)
        now_s = time.monotonic()
        self._look_s, self._minute_s = now_s + EXPIRY_LOOK_S, now_s + 60.0
        self._tick = loop.call_later(TICK_S, self._on_tick)
        self.log.info(
            "listening",
            address=f"{self.plan.host}:{self.bound_port}",
            policies=", ".join(self.plan.policies),
            fingerprint=self.identity.certificate.fingerprint[:16],
        )

    async def stop(self) -> None:
        """Accept nothing more, end the sessions, let written answers go out, close."""
        if self._tick is not None:
            self._tick.cancel()
        if self._listener is not None:
            self._listener.close()
        self.sessions.stop()
        for connection in list(self._connections):
            connection.stop()
        if self._connections:
            self._all_gone = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), CLOSE_TIMEOUT_S)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)
        if self._listener is not None:
            await self._listener.wait_closed()
            self._listener = None
            await asyncio.to_thread(self._audit.stop)

    @property
    def bound_port(self) -> int:
        """The TCP port listened on; 0 before `start`."""
        sockets = self._listener.sockets if self._listener is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    def admit(self, connection: Connection) -> bool:
        """Whether there is room; counts it."""
        limits, address = self.plan.limits, connection.address
        cause = ""
        if len(self._connections) >= limits.connections:
            cause = f"{limits.connections} connections are open already"
        elif self._addresses[address] >= limits.connections_per_address:
            cause = f"{limits.connections_per_address} connections of this address are open already"
        if cause:
            self.refusals.refuse(connection.address, cause)
            return False
        self._connections.add(connection)
        self._addresses[address] += 1
        return True

    def forget(self, connection: Connection, processor: Processor) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if self._all_gone is not None and not self._connections:
            self._all_gone.set()
        self._addresses[connection.address] -= 1
        if self._addresses[connection.address] <= 0:
            del self._addresses[connection.address]
        self.sessions.connection_lost(processor)

    def new_channel(self, limits: wire.Limits) -> SecureChannel:
        """A channel that is not open, with a number that nobody can foresee."""
        used = {connection.channel.id for connection in self._connections if connection.channel is not None}
        number = 0
        while number == 0 or number in used:
            number = secrets.randbits(32)
        return SecureChannel(number, self.identity, self._policies, self._check_peer, limits)

    def full_limits(self, early: wire.Limits) -> wire.Limits:
        """Once a session is activated."""
        return dataclasses.replace(early, message=self.plan.limits.message_size, chunks=self.plan.limits.chunks)

    def refused(self, connection: Connection, cause: str, code: int, client: str) -> None:
        """A connection is closed for what came on it: one line each, as long as an address does not flood the log."""
        self.malformed += 1
        self._refusals[connection.address] += 1
        told = self._refusals[connection.address]
        if told > REFUSALS_TOLD:
            if told == REFUSALS_TOLD + 1:
                self.log.warning(
                    "further refusals of this address are not logged for a minute", peer=connection.address
                )
            return
        facts: dict[str, object] = {"peer": connection.peer, "status": code_name(code), "cause": cause}
        if client:
            facts["client"] = client
        self.log.warning("connection closed", **facts)
        if code == Codes.BadSecurityChecksFailed:
            self.record("connection closed", **facts)

    def audit(self, what: str, home: Processor, session: OpcUaSession) -> None:
        """A login, in the log and in the record."""
        certificate = session.certificate
        facts: dict[str, object] = {
            "user": session.user or "anonymous",
            "roles": ", ".join(sorted(session.roles)),
            "peer": home.peer,
            "client": certificate.name if certificate else "",
            "security": session.policy,
        }
        self.log.info(what, **facts)
        self.record(what, **facts)

    def record(self, what: str, **facts: object) -> None:
        """One line of the audit record: ``STATE_DIR/audit/opcua-SERVER-YYYYMMDD.jsonl``."""
        self._audit.record(event=what, **facts)

    def _check_peer(self, chain: list[Certificate]) -> None:
        try:
            self.trust.check(chain, datetime.datetime.now(datetime.UTC))
        except NotTrusted as error:
            # The peer is not told what is wrong with it (Part 4, 6.1.3).
            raise ChannelFault(Codes.BadSecurityChecksFailed, f"client certificate {chain[0].name}: {error}") from None

    def _follow_users(self) -> None:
        """Whoever was removed is out; whoever has other roles has them now."""
        for session in self.sessions:
            if not session.activated or not session.user:
                continue
            user = self.users.known(session.user)
            if user is None:
                self.sessions.close(session, True, "the user was removed")
            else:
                session.become(user)

    def _on_tick(self) -> None:
        now_s = time.monotonic()
        self.sessions.expire(now_s)
        if self.users.refresh():
            self._follow_users()
        if now_s >= self._minute_s:
            self._minute_s = now_s + 60.0
            self.refusals.forget()
            self._refusals.clear()
        if now_s >= self._look_s:
            self._look_s = now_s + EXPIRY_LOOK_S
            warn_of_expiry(self.plan, self.identity.certificate, self.log)
        self._tick = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)
