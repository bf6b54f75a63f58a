"""TLS on the DNP3 listener and on what we dial: by which certificate a master speaks for which link address."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="cryptography makes the test certificates")

from gateway.cli.pki import Authority
from gateway.contracts.places import Place, Report
from gateway.contracts.settings import MasterSource, ServerSource
from gateway.points import PointCatalogue
from gateway.tls.plan import TlsMasterPlan, TlsPlan
from protocols.dnp3.settings import SETTINGS, Dnp3MasterSettings, Dnp3ServerSettings
from tests.contract.server_suite import until
from tests.kit import pki
from tests.kit.dnp3kit import Site, master, plan, site
from tests.kit.pki import EXPIRED, client
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import RawDnp3

MAIN = TlsMasterPlan(subjects=((("CN", "main"),),))
SECOND = TlsMasterPlan(subjects=((("CN", "second"),),))


@dataclass
class House:
    ours: Authority
    others: Authority
    gateway: Path

    def tls(self, **keys: Any) -> TlsPlan:
        files = {"certificate": str(self.gateway), "key": str(self.gateway.with_suffix(".key"))}
        return TlsPlan(**{**files, "ca": str(self.ours.file), **keys})


@pytest.fixture
def house(tmp_path: Path) -> House:
    ours, others = pki.authority(tmp_path, "ours"), pki.authority(tmp_path, "others")
    return House(ours, others, ours.issue("gateway", hosts=("127.0.0.1",)))


def play(tls: TlsPlan, conversation: Callable[[Site], Awaitable[None]], *names: str) -> None:
    masters = [master(name=name, address=number) for number, name in enumerate(names or ("main",), 1)]

    async def run() -> None:
        async with site(plan(*masters, tls=tls)) as running:
            await conversation(running)

    asyncio.run(run())


async def served(running: Site, context: ssl.SSLContext, address: int = 1) -> bool:
    try:
        rldc = await running.connect(ssl=context, address=address)
        return bool((await rldc.ask(raw.DELAY, timeout=2)).objects)
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        return False


def causes(running: Site) -> list[str]:
    return [str(facts["cause"]) for facts in running.port.log.said("connection refused")]


def test_only_a_master_with_the_right_certificate_is_served(house: House) -> None:
    async def talk(running: Site) -> None:
        assert await served(running, client(house.ours, house.ours.issue("master")))
        assert not await served(running, client(house.ours))
        assert not await served(running, client(house.ours, house.others.issue("stranger")))
        assert not await served(running, client(house.ours, house.ours.issue("old", span=EXPIRED)))
        assert len(running.server.channels) == 1
        expected = ("no certificate shown", "certificate of an unknown authority", "certificate has expired")
        await until(lambda: set(causes(running)) == set(expected))

    play(house.tls(), talk)


def test_of_two_masters_at_one_address_each_speaks_with_its_own_certificate_only(house: House) -> None:
    async def talk(running: Site) -> None:
        main, second = house.ours.issue("main"), house.ours.issue("second")
        assert await served(running, client(house.ours, main), address=1)
        assert await served(running, client(house.ours, second), address=2)
        assert not await served(running, client(house.ours, main), address=2)
        assert not await served(running, client(house.ours, house.ours.issue("third")))
        await until(lambda: len(causes(running)) == 1)
        assert "not allowed for main" in causes(running)[0]
        assert "not allowed for second" in causes(running)[0]

    play(house.tls(masters={"main": MAIN, "second": SECOND}), talk, "main", "second")


def test_pinned_certificates_of_two_masters_at_one_address(house: House) -> None:
    mine, theirs = house.others.issue("mine"), house.others.issue("theirs")
    pins = {"main": TlsMasterPlan(certificates=(str(mine),)), "second": TlsMasterPlan(certificates=(str(theirs),))}

    async def talk(running: Site) -> None:
        assert await served(running, client(house.ours, mine), address=1)
        assert await served(running, client(house.ours, theirs), address=2)
        assert not await served(running, client(house.ours, theirs), address=1)
        assert not await served(running, client(house.ours, house.ours.issue("main")))

    play(house.tls(ca="", masters=pins), talk, "main", "second")


def test_a_revoked_certificate_is_refused_from_the_moment_the_list_says_so(house: House) -> None:
    async def talk(running: Site) -> None:
        shown = house.ours.issue("main")
        assert await served(running, client(house.ours, shown))
        house.ours.revoke("main")
        assert not await served(running, client(house.ours, shown))
        await until(lambda: causes(running) == ["certificate is revoked"])

    play(house.tls(crl=str(house.ours.revocations)), talk)


def test_a_key_that_is_none_keeps_the_server_from_starting(house: House, tmp_path: Path) -> None:
    (tmp_path / "bad.key").write_text("no key")

    async def talk(running: Site) -> None:
        raise AssertionError("it started")

    with pytest.raises(OSError, match="PEM"):
        play(house.tls(key=str(tmp_path / "bad.key")), talk)


def listening(authority: Authority, certificate: Path) -> ssl.SSLContext:
    """A master that is dialled: it shows a certificate and wants one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize("shown", ["main", "imposter"])
def test_a_master_that_we_dial_shows_its_certificate_too(house: House, shown: str) -> None:
    async def talk() -> None:
        calls: asyncio.Queue[RawDnp3] = asyncio.Queue()
        context = listening(house.ours, house.ours.issue(shown, hosts=("rldc.example",)))
        listener = await asyncio.start_server(
            lambda reader, writer: calls.put_nowait(RawDnp3(reader, writer)), "127.0.0.1", 0, ssl=context
        )
        address = ("127.0.0.1", int(listener.sockets[0].getsockname()[1]))
        dialled = master(addresses=(), dial=address, dial_retry_s=0.05)
        async with site(plan(dialled, listen=None, tls=house.tls(masters={"main": MAIN}))) as running:
            rldc = await asyncio.wait_for(calls.get(), 10)
            if shown == "main":
                assert (await rldc.ask(raw.DELAY)).objects
            else:
                await until(lambda: causes(running) != [])
                assert causes(running) == ["certificate of CN=imposter is not allowed for main"]
                assert running.main.channel is None
            await rldc.close()
            listener.close()
        await listener.wait_closed()
        while not calls.empty():
            await calls.get_nowait().close()

    asyncio.run(talk())


def test_masters_at_one_address_pin_all_or_none(house: House) -> None:
    report = Report()
    folder = house.gateway.parent
    place = Place(str(folder / "site.yaml"), 1)
    tls = {"certificate": house.gateway.name, "key": house.gateway.with_suffix(".key").name, "ca": house.ours.file.name}
    server = Dnp3ServerSettings.model_validate(
        {"name": "rldc", "protocol": "dnp3", "listen": "127.0.0.1:20000", "outstation": 10, "tls": tls}
    )
    told: list[dict[str, Any]] = [
        {"name": "main", "address": 1, "addresses": ["10.0.0.0/24"], "map": "m.csv"},
        {"name": "spare", "address": 2, "addresses": ["10.0.0.7"], "map": "m.csv", "tls_certificates": tls["ca"]},
    ]
    sources = [MasterSource(Dnp3MasterSettings.model_validate(keys), [], place) for keys in told]
    SETTINGS.compile(ServerSource(server, sources, place), PointCatalogue.of([]), report)
    (problem,) = report.errors
    assert "tls_certificates of both, or of neither, expected" in problem.message
