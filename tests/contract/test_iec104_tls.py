"""TLS on the 104 listener: a master with a certificate that is its own comes in, nobody else, and the log says why."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="cryptography makes the test certificates")

from gateway.cli.pki import Authority
from gateway.tls.plan import TlsMasterPlan, TlsPlan
from tests.contract.server_suite import until
from tests.kit import pki
from tests.kit.iec104kit import Site, plan, site
from tests.kit.pki import DAY, EXPIRED, NOT_YET, NOW, client
from tests.peers.raw104 import Raw104, asdu

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
REFUSED = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)


@dataclass
class House:
    """The site's authority, a stranger's, and the gateway's certificate."""

    ours: Authority
    others: Authority
    gateway: Path
    master: Path

    def tls(self, **keys: Any) -> TlsPlan:
        files = {
            "certificate": str(self.gateway),
            "key": str(self.gateway.with_suffix(".key")),
            "ca": str(self.ours.file),
        }
        return TlsPlan(**{**files, **keys})

    def good(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        return client(self.ours, self.master, version)


@pytest.fixture
def house(tmp_path: Path) -> House:
    ours, others = pki.authority(tmp_path, "ours"), pki.authority(tmp_path, "others")
    return House(ours, others, ours.issue("gateway", hosts=("127.0.0.1",)), ours.issue("master"))


def play(tls: TlsPlan, conversation: Callable[[Site], Awaitable[None]]) -> None:
    async def run() -> None:
        async with site(plan(tls=tls)) as running:
            await conversation(running)

    asyncio.run(run())


async def interrogates(running: Site, context: ssl.SSLContext) -> Raw104:
    master = await running.connect(ssl=context)
    await master.start()
    await master.send(asdu(100, 6, 1, 0, "14"))
    assert len(await master.collect((100, 10))) > 2
    return master


def causes(running: Site) -> list[str]:
    return [str(facts["cause"]) for facts in running.port.log.said("connection refused")]


async def is_refused(running: Site, context: ssl.SSLContext, cause: str) -> None:
    """The handshake, or the first word after it, fails; the log says why."""
    with pytest.raises(REFUSED):
        await (await running.connect(ssl=context)).start()
    await until(lambda: any(cause in said for said in causes(running)))


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_master_with_a_certificate_of_the_authority_comes_in(house: House, version: ssl.TLSVersion) -> None:
    async def talk(running: Site) -> None:
        await interrogates(running, house.good(version))
        (said,) = running.port.log.said("master authenticated")
        assert said["subject"] == "CN=master"
        assert str(said["tls"]) == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
        assert causes(running) == []

    play(house.tls(), talk)


def test_a_long_answer_passes_through_tls_whole(house: House) -> None:
    async def talk(running: Site) -> None:
        master = await interrogates(running, house.good())
        for round_ in range(300):
            running.port.change([(0, 100.0 * (round_ % 9), 0, 1_700_000_000_000_000_000 + round_)])
        heard = 0
        while heard < 300:
            heard += (await master.hear_i()).count
        assert heard == 300

    play(house.tls(), talk)


WRONG: dict[str, tuple[Callable[[House], Path | None], str]] = {
    "none": (lambda house: None, "no certificate shown"),
    "unknown authority": (lambda house: house.others.issue("master"), "unknown authority"),
    "expired": (lambda house: house.ours.issue("old", span=EXPIRED), "certificate has expired"),
    "not yet": (lambda house: house.ours.issue("young", span=NOT_YET), "not valid yet"),
    "a server's": (lambda house: house.ours.issue("server", client_only=False), "not for a client"),
}


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_certificate_is_refused_and_told_once(house: House, wrong: str, version: ssl.TLSVersion) -> None:
    make, cause = WRONG[wrong]
    shown = make(house)

    async def talk(running: Site) -> None:
        for _ in range(2):
            await is_refused(running, client(house.ours, shown, version), cause)
        assert len(causes(running)) == 1
        assert not running.server.links

    play(house.tls(), talk)


def test_the_refused_one_hears_an_alert_that_says_why(house: House) -> None:
    async def talk(running: Site) -> None:
        with pytest.raises(ssl.SSLError, match=r"(?i)alert certificate expired"):
            await running.connect(ssl=client(house.ours, house.ours.issue("old", span=EXPIRED), TLS12))

    play(house.tls(), talk)


def test_others_go_on_while_somebody_is_refused(house: House) -> None:
    async def talk(running: Site) -> None:
        master = await interrogates(running, house.good())
        await is_refused(running, client(house.ours), "no certificate shown")
        plain = await Raw104.connect(running.server.bound_port)
        await plain.say("680407000000")
        running.port.change([(0, 500.0, 0, 1_700_000_000_000_000_000)])
        assert (await master.hear_i()).ioa == 4001
        assert await plain.ended()
        await plain.close()
        assert list(running.server.links) != []

    play(house.tls(), talk)


@pytest.mark.parametrize(
    "said", ["680407000000", "474554202f20485454502f312e310d0a0d0a", "00" * 64, "160301ffff" + "41" * 50]
)
def test_plain_text_on_a_tls_port_is_called_so(house: House, said: str) -> None:
    async def talk(running: Site) -> None:
        plain = await Raw104.connect(running.server.bound_port)
        await plain.say(said)
        await plain._writer.drain()
        plain._writer.write_eof()
        assert await plain.ended()
        await plain.close()
        await until(lambda: bool(causes(running)))
        assert any(word in causes(running)[0] for word in ("plain text", "handshake"))

    play(house.tls(), talk)


def test_the_first_frame_of_a_master_without_tls_is_called_plain_text(house: House) -> None:
    async def talk(running: Site) -> None:
        plain = await Raw104.connect(running.server.bound_port)
        await plain.say("680407000000")
        assert await plain.ended()
        await plain.close()
        assert causes(running) == ["plain text on a TLS port, or something else that is no TLS"]

    play(house.tls(), talk)


def test_a_version_that_is_too_old_is_refused(house: House) -> None:
    async def talk(running: Site) -> None:
        await is_refused(running, house.good(TLS12), "TLS version too old")
        await interrogates(running, house.good(TLS13))

    play(house.tls(minimum="1.3"), talk)


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_1_is_not_spoken(house: House) -> None:
    async def talk(running: Site) -> None:
        old = house.good(ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(REFUSED):
            await running.connect(ssl=old)
        await until(lambda: causes(running) != [])

    play(house.tls(), talk)


def test_a_weak_cipher_suite_is_refused(house: House) -> None:
    async def talk(running: Site) -> None:
        weak = house.good(TLS12)
        weak.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA")
        await is_refused(running, weak, "no cipher suite in common")

    play(house.tls(), talk)


def test_a_revoked_certificate_is_refused_from_the_moment_the_list_says_so(house: House) -> None:
    async def talk(running: Site) -> None:
        await interrogates(running, house.good())
        house.ours.revoke("master")
        await is_refused(running, house.good(), "certificate is revoked")
        await interrogates(running, client(house.ours, house.ours.issue("another")))
        assert len(running.port.log.said("tls files read again")) == 1

    play(house.tls(crl=str(house.ours.revocations)), talk)


def test_an_expired_revocation_list_lets_nobody_in(house: House) -> None:
    async def talk(running: Site) -> None:
        await is_refused(running, house.good(), "revocation list has expired")
        house.ours.write_list()
        await interrogates(running, house.good())

    house.ours.write_list(next_update=NOW - DAY)
    play(house.tls(crl=str(house.ours.revocations)), talk)


def test_a_list_of_another_authority_lets_nobody_in(house: House) -> None:
    async def talk(running: Site) -> None:
        await is_refused(running, house.good(), "no revocation list of the certificate's authority")

    play(house.tls(crl=str(house.others.revocations)), talk)


def test_a_list_that_is_broken_leaves_the_one_before_in_force(house: House) -> None:
    async def talk(running: Site) -> None:
        house.ours.revocations.write_text("half a li")
        for _ in range(2):
            await interrogates_and_leaves(running, house.good())
        await is_refused(running, client(house.ours, bad), "certificate is revoked")
        (said,) = running.port.log.said("tls files cannot be used: those read before stay in force")
        assert said["cause"]

    bad = house.ours.issue("bad")
    house.ours.revoke("bad")
    play(house.tls(crl=str(house.ours.revocations)), talk)


async def interrogates_and_leaves(running: Site, context: ssl.SSLContext) -> None:
    master = await interrogates(running, context)
    await master.close()
    await until(lambda: not running.server.links)


def test_a_master_comes_in_with_its_own_subject_only(house: House) -> None:
    async def talk(running: Site) -> None:
        await interrogates(running, house.good())
        await is_refused(
            running, client(house.ours, house.ours.issue("rldc")), "certificate of CN=rldc is not allowed for main"
        )

    play(house.tls(masters={"main": TlsMasterPlan(subjects=((("CN", "master"),), (("CN", "spare"),)))}), talk)


def test_a_name_of_the_certificate_beside_its_subject_counts_too(house: House) -> None:
    async def talk(running: Site) -> None:
        await interrogates(running, client(house.ours, house.ours.issue("x", hosts=("scada.sldc.example", "10.0.0.7"))))

    play(
        house.tls(masters={"main": TlsMasterPlan(subjects=((("DNS", "scada.sldc.example"), ("IP", "10.0.0.7")),))}),
        talk,
    )


def test_a_fingerprint_beside_the_authority(house: House) -> None:
    async def talk(running: Site) -> None:
        await interrogates(running, house.good())
        twin = house.ours.issue("twin")
        await is_refused(running, client(house.ours, twin), "has none of the fingerprints of main")

    rules = TlsMasterPlan(fingerprints=frozenset({house.ours.fingerprint("master")}))
    play(house.tls(masters={"main": rules}), talk)


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_pinned_certificate_needs_no_authority(house: House, version: ssl.TLSVersion) -> None:
    theirs = house.others.issue("theirs")

    async def talk(running: Site) -> None:
        await interrogates(running, client(house.ours, theirs, version))
        await is_refused(running, house.good(version), "unknown authority")
        await is_refused(running, client(house.ours, house.others.issue("sister"), version), "unknown authority")

    play(house.tls(ca="", masters={"main": TlsMasterPlan(certificates=(str(theirs),))}), talk)


def test_what_a_pinned_authority_signed_is_not_what_is_pinned(house: House) -> None:
    async def talk(running: Site) -> None:
        await is_refused(running, client(house.ours, house.others.issue("x")), "none of those pinned for main")

    play(house.tls(masters={"main": TlsMasterPlan(certificates=(str(house.others.file),))}), talk)


def test_a_pinned_certificate_that_has_expired_is_refused(house: House) -> None:
    old = house.others.issue("old", span=EXPIRED)

    async def talk(running: Site) -> None:
        await is_refused(running, client(house.ours, old), "certificate has expired")

    play(house.tls(masters={"main": TlsMasterPlan(certificates=(str(old),))}), talk)


def shake(port: int, context: ssl.SSLContext) -> None:
    with socket.create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw):
        pass


def test_a_master_that_does_not_trust_us_is_told_so_in_our_log(house: House) -> None:
    async def talk(running: Site) -> None:
        # asyncio's own client swallows the alert, which the socket module's sends.
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(shake, running.server.bound_port, client(house.others, house.master))
        await until(lambda: causes(running) == ["the master refused: unknown ca"])

    play(house.tls(), talk)


def test_a_handshake_that_takes_too_long_ends(house: House) -> None:
    async def talk(running: Site) -> None:
        silent = await Raw104.connect(running.server.bound_port)
        assert await silent.ended()
        await silent.close()
        assert causes(running) == ["TLS handshake not done within 0.2 s"]

    play(house.tls(handshake_s=0.2), talk)


def test_too_many_handshakes_at_once_are_refused(house: House) -> None:
    async def talk(running: Site) -> None:
        waiting = [await Raw104.connect(running.server.bound_port) for _ in range(17)]
        assert await waiting[-1].ended()
        assert causes(running) == ["16 TLS handshakes of main are under way"]
        for raw in waiting:
            await raw.close()
        await until(lambda: "connection ended within the TLS handshake" in causes(running))
        await interrogates(running, house.good())

    play(house.tls(), talk)


def test_the_server_stops_while_a_handshake_is_under_way(house: House) -> None:
    async def talk(running: Site) -> None:
        silent = await Raw104.connect(running.server.bound_port)
        await asyncio.sleep(0.05)
        await running.server.stop()
        assert await silent.ended()
        await silent.close()

    play(house.tls(), talk)


def test_a_master_that_renegotiates_is_told_no(house: House) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which can ask for a renegotiation, is not installed")

    async def talk(running: Site) -> None:
        address = f"127.0.0.1:{running.server.bound_port}"
        shown = ["-cert", str(house.master), "-key", str(house.master.with_suffix(".key"))]
        openssl = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", address, "-tls1_2", *shown),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert openssl.stdin is not None
        await until(lambda: running.port.log.said("master authenticated") != [])
        openssl.stdin.write(b"R\n")
        async with asyncio.timeout(20):
            said, _ = await openssl.communicate()
        assert b"RENEGOTIATING" in said
        assert b"no renegotiation" in said

    play(house.tls(), talk)


def test_sessions_do_not_outlive_what_was_revoked(house: House) -> None:
    """A TLS 1.3 master is given no ticket; one of 1.2 may resume its session by number, and is looked at again."""

    def visit(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool]:
        with socket.create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw, session=session) as tls:
            tls.sendall(bytes.fromhex("680407000000"))
            assert tls.recv(6) == bytes.fromhex("68040b000000")
            return tls.session, bool(tls.session_reused)

    async def talk(running: Site) -> None:
        for version, tickets in ((TLS13, False), (TLS12, False)):
            context = house.good(version)
            session, _ = await asyncio.to_thread(visit, running.server.bound_port, context, None)
            assert session is None or session.has_ticket is tickets
            await until(lambda: not running.server.links)
        # A new revocation list ends every session that could be resumed.
        house.ours.revoke("master")
        with pytest.raises(REFUSED):
            await asyncio.to_thread(visit, running.server.bound_port, context, session)

    play(house.tls(crl=str(house.ours.revocations)), talk)


def test_octets_that_break_tls_break_their_link_only(house: House) -> None:
    def disturb(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as raw, house.good().wrap_socket(raw) as tls:
            os.write(raw.fileno() if raw.fileno() >= 0 else tls.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
            tls.settimeout(10)
            try:
                return tls.recv(100)
            except OSError:
                return b""

    async def talk(running: Site) -> None:
        master = await interrogates(running, house.good())
        assert await asyncio.to_thread(disturb, running.server.bound_port) == b""
        await until(lambda: len(running.server.links) == 1)
        assert any("TLS broken" in str(facts["cause"]) for facts in running.port.log.said("master disconnected"))
        running.port.change([(0, 700.0, 0, 1_700_000_000_000_000_000)])
        assert (await master.hear_i()).ioa == 4001

    play(house.tls(), talk)


def test_a_certificate_that_is_none_keeps_the_server_from_starting(house: House, tmp_path: Path) -> None:
    (tmp_path / "bad.key").write_text("no key")

    async def talk() -> None:
        with pytest.raises(OSError, match="PEM"):
            async with site(plan(tls=house.tls(key=str(tmp_path / "bad.key")))):
                pass

    asyncio.run(talk())


def test_the_trace_holds_what_tls_hid(house: House) -> None:
    async def talk(running: Site) -> None:
        await interrogates(running, house.good())
        held = running.port.trace.records("main")
        assert held[1].data == bytes.fromhex("680407000000")

    play(house.tls(), talk)
