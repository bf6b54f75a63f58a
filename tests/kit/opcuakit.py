"""An OPC UA server on a port of its own, users and certificates for it, and asyncua's client to call it."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto import security_policies
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from gateway.points import PointCatalogue
from gateway.users.store import User, hash_password, read_users, write_users
from protocols.opcua import nodeservices
from protocols.opcua.nodes import Node
from protocols.opcua.owncertificate import make_certificate
from protocols.opcua.plan import LimitPlan, PkiPlan, ServerPlan
from protocols.opcua.server import OpcUaServer
from protocols.opcua.standardnodes import standard_nodes
from tests.contract.server_suite import FakePort, catalogue

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
_KEYS: dict[str, rsa.RSAPrivateKey] = {}
_HASHES: dict[str, str] = {}
_OWN: dict[str, dict[str, bytes]] = {}


def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key by name; made once a process."""
    if name not in _KEYS:
        _KEYS[name] = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return _KEYS[name]


class App:
    """A client application: certificate and key in a folder."""

    def __init__(self, folder: Path, name: str, issuer: App | None = None, **odd: Any) -> None:
        self.name, self.uri = name, f"urn:{name}:client"
        self.key = key(odd.pop("key", name), odd.pop("bits", 2048))
        self.certificate = self._make(issuer, **odd)
        folder.mkdir(parents=True, exist_ok=True)
        self.der, self.pem = folder / f"{name}.der", folder / f"{name}.pem"
        self.certificate_pem = folder / f"{name}.crt"
        self.certificate_pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.der.write_bytes(self.certificate.public_bytes(serialization.Encoding.DER))
        self.pem.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _make(
        self,
        issuer: App | None,
        uri: str = "",
        days: tuple[float, float] = (-1, 30),
        ca: bool = False,
        host: str = "localhost",
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        names = [x509.UniformResourceIdentifier(uri or self.uri), x509.DNSName(host)]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign((issuer or self).key, hashes.SHA256())

    def crl(self, *revoked: App, days: float = 30) -> bytes:
        """A revocation list of this authority."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - datetime.timedelta(days=2))
            .next_update(now + datetime.timedelta(days=days))
        )
        for app in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(app.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


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
