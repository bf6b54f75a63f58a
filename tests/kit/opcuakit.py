"""An OPC UA server on a port of its own, users and certificates for it, and asyncua's client to call it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto import security_policies

from gateway.points import PointCatalogue
from gateway.users.store import User, hash_password, read_users, write_users
from protocols.opcua import nodeservices
from protocols.opcua.nodes import Node
from protocols.opcua.owncertificate import make_certificate
from protocols.opcua.plan import LimitPlan, PkiPlan, ServerPlan
from protocols.opcua.server import OpcUaServer
from protocols.opcua.standardnodes import standard_nodes
from tests.contract.server_suite import FakePort, catalogue
from tests.kit.opcuaapp import App

PASSWORD = "correct horse"


_made_nodes = functools.cache(standard_nodes)


def _standard_nodes() -> dict[Any, Node]:
    """The standard's nodes, made once a process and copied as far as a server changes them: most of a test's time."""
    return {
        key: replace(node, references=list(node.references), attributes=dict(node.attributes))
        for key, node in _made_nodes().items()
    }


nodeservices.standard_nodes = _standard_nodes
POLICIES = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_HASHES: dict[str, str] = {}
_OWN: dict[str, dict[str, bytes]] = {}


def users(path: Path) -> Path:
    """A users file: one of each role, all with the same password."""
    if PASSWORD not in _HASHES:
        _HASHES[PASSWORD] = hash_password(PASSWORD)
    roles = ("viewer", "operator", "engineer", "administrator")
    write_users(path, {role: User(name=role, roles=frozenset((role,)), password=_HASHES[PASSWORD]) for role in roles})
    return path


class Plant:
    """A server and what it was made of. `own`: False leaves its certificate to the server."""

    def __init__(self, folder: Path, points: PointCatalogue | None = None, **keys: Any) -> None:
        self.folder = folder
        self.pki = folder / "pki"
        limits = LimitPlan(**keys.pop("limits", {}))
        made = keys.pop("own", True)
        self.plan = ServerPlan(
            name="ua",
            host="127.0.0.1",
            port=0,
            application_uri="urn:test:gridgate:ua",
            policies=keys.pop("policies", tuple(POLICIES)),
            modes=keys.pop("modes", (2, 3)),
            users=str(users(folder / "users.yaml")),
            pki=PkiPlan(folder=str(self.pki), **keys.pop("pki", {})),
            limits=limits,
        )
        self.plan = replace(self.plan, **keys)
        own = self.pki / "own"
        if made and not (own / "key.pem").exists():
            own.mkdir(parents=True)
            for name, data in _server_certificate(folder, self.plan.application_uri).items():
                (own / name).write_bytes(data)
        self.port = FakePort(points or catalogue())
        self.server = OpcUaServer(self.plan, self.port)
        self.port.server = self.server
        self.log = self.port.log

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.server.bound_port}{self.plan.path}"

    def trust(self, *apps: App, folder: str = "trusted") -> None:
        """What a technician does."""
        (self.pki / folder).mkdir(parents=True, exist_ok=True)
        for app in apps:
            (self.pki / folder / app.der.name).write_bytes(app.der.read_bytes())

    def app(self, name: str = "client", trusted: bool = True, **odd: Any) -> App:
        made = App(self.folder / "apps", name, **odd)
        if trusted:
            self.trust(made)
        return made

    def give_certificate(self, user: str, app: App) -> None:
        """This certificate is the user's, besides the password."""
        known = read_users(Path(self.plan.users))
        fingerprint = hashlib.sha256(app.der.read_bytes()).hexdigest()
        write_users(Path(self.plan.users), {**known, user: replace(known[user], certificates=(fingerprint,))})

    def said(self, event: str) -> list[dict[str, object]]:
        return self.log.said(event)


def _server_certificate(folder: Path, uri: str) -> dict[str, bytes]:
    """As the server makes it, once a process."""
    if uri not in _OWN:
        plan = ServerPlan(name="ua", host="127.0.0.1", port=0, application_uri=uri, policies=(), modes=())
        files = folder / "made" / "certificate.der", folder / "made" / "key.pem"
        make_certificate(plan, *files)
        _OWN[uri] = {file.name: file.read_bytes() for file in files}
    return _OWN[uri]


@contextlib.asynccontextmanager
async def running(plant: Plant) -> AsyncIterator[Plant]:
    await plant.server.start()
    try:
        yield plant
    finally:
        await plant.server.stop()


async def client(
    plant: Plant,
    app: App,
    user: str = "operator",
    password: str = PASSWORD,
    policy: str = "Basic256Sha256",
    mode: int = 3,
) -> Client:
    """asyncua's client, ready to connect."""
    made = Client(plant.url, timeout=10)
    made.application_uri = app.uri
    await made.set_security(
        POLICIES[policy],
        str(app.der),
        str(app.pem),
        server_certificate=str(plant.pki / "own" / "certificate.der"),
        mode=ua.MessageSecurityMode(mode),
    )
    if user:
        made.set_user(user)
        made.set_password(password)
    return made
