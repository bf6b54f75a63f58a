"""Whose certificates are taken: by trust list, authority, validity, revocation, key and name."""

from __future__ import annotations

import asyncio
import shutil
import stat
from pathlib import Path

import pytest

from protocols.opcua.certificates import load_certificate
from tests.kit.opcuaapp import App
from tests.kit.opcuaattacks import causes, refused, witnessed
from tests.kit.opcuakit import Plant, client, running


@pytest.mark.parametrize(
    ("odd", "cause"),
    [
        ({"days": (-20, -1)}, "expired on"),
        ({"days": (1, 20)}, "is not valid before"),
        ({"key": "weak", "bits": 1024}, "its key has 1024 bits"),
    ],
    ids=["expired", "not yet", "weak key"],
)
def test_what_is_wrong_with_a_trusted_certificate(tmp_path: Path, odd: dict[str, object], cause: str) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            assert await refused(await client(plant, plant.app("odd", **odd)))
            assert cause in causes(plant, "connection closed")

    asyncio.run(scenario())


def test_the_application_is_the_one_of_the_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            app = plant.app("pretender", uri="urn:somebody:else")
            assert await refused(await client(plant, app)) == "BadCertificateUriInvalid"
            assert "its certificate says urn:somebody:else" in causes(plant, "session refused")

    asyncio.run(scenario())


def test_the_host_is_one_that_our_certificate_names(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            app = plant.app()
            made = await client(plant, app)
            real = made.uaclient.create_session

            async def create(parameters):  # type: ignore[no-untyped-def]
                parameters.EndpointUrl = "opc.tcp://elsewhere.example:4840"
                return await real(parameters)

            made.uaclient.create_session = create
            assert await refused(made) == "BadCertificateHostNameInvalid"
            assert "'opc.tcp://elsewhere.example:4840'" in causes(plant, "session refused")

    asyncio.run(scenario())


def test_a_technician_moves_a_rejected_certificate_and_the_client_comes_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with witnessed(Plant(tmp_path)) as plant:
            app = plant.app("newcomer", trusted=False)
            assert await refused(await client(plant, app))
            (file,) = (plant.pki / "rejected").iterdir()
            assert load_certificate(file.read_bytes()).name == "newcomer"
            assert plant.said("certificate rejected: move the file to trusted/ to let this client in")
            shutil.move(file, plant.pki / "trusted")
            async with await client(plant, app):
                pass

    asyncio.run(scenario())


def test_an_authority_vouches_for_its_clients_until_it_revokes_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        authority = plant.app("authority", ca=True)
        one, other = (plant.app(name, trusted=False, issuer=authority) for name in ("one", "other"))
        list_file = plant.pki / "trusted" / "authority.crl"
        async with witnessed(plant):
            assert await refused(await client(plant, one))
            assert "no revocation list of authority that is in force" in causes(plant, "connection closed")
            list_file.write_bytes(authority.crl(other))
            async with await client(plant, one):
                pass
            assert await refused(await client(plant, other))
            assert "other is revoked by authority" in causes(plant, "connection closed")
            list_file.write_bytes(authority.crl(days=-1))
            assert await refused(await client(plant, one))

    asyncio.run(scenario())


def test_a_chain_is_complete_and_made_of_authorities(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path, pki={"require_crl": False})
        root = App(tmp_path / "apps", "root", ca=True)
        middle = plant.app("middle", ca=True, issuer=root)
        leaf = plant.app("leaf", trusted=False, issuer=middle)
        clerk = plant.app("clerk")  # trusted as a client, and no authority
        forged = plant.app("forged", trusted=False, issuer=clerk)
        foreign = plant.app("foreign", trusted=False, issuer=App(tmp_path / "apps", "nobody", ca=True))
        async with witnessed(plant):
            assert await refused(await client(plant, leaf))
            assert "the issuer of middle is not known" in causes(plant, "connection closed")
            plant.trust(root, folder="issuers")
            async with await client(plant, leaf):
                pass
            assert await refused(await client(plant, forged))
            assert "clerk may not sign it" in causes(plant, "connection closed")
            assert await refused(await client(plant, foreign))
            plant.trust(foreign)  # pinned by hand: trusted whoever signed it
            async with await client(plant, foreign):
                pass

    asyncio.run(scenario())


def test_our_own_certificate_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        shutil.rmtree(plant.pki / "own")
        async with running(plant):
            own = plant.pki / "own"
            made = load_certificate((own / "certificate.der").read_bytes())
            assert made.uris == (plant.plan.application_uri,)
            assert {"127.0.0.1", "localhost"} <= set(made.hosts)
            assert stat.S_IMODE((own / "key.pem").stat().st_mode) == 0o600
            async with await client(plant, plant.app()):
                pass
        again = Plant(tmp_path)
        async with running(again):
            assert load_certificate((again.pki / "own" / "certificate.der").read_bytes()) == made
        assert not again.said("certificate expires soon")

    asyncio.run(scenario())


def test_our_own_certificate_is_told_when_it_nears_its_end_or_does_not_fit(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        mine = App(tmp_path / "mine", "mine", uri=plant.plan.application_uri, days=(-1, 10))
        files = {"certificate": str(mine.der), "key": str(mine.pem)}
        given = Plant(tmp_path / "given", pki=files)
        async with running(given):
            pass
        assert given.said("certificate expires soon")
        assert given.said("certificate does not name the host: clients may refuse it")
        strange = Plant(tmp_path / "strange", pki=files, application_uri="urn:another")
        with pytest.raises(OSError, match="URI urn:another expected"):
            await strange.server.start()
        other = App(tmp_path / "mine", "other")
        mixed = Plant(tmp_path / "mixed", pki={**files, "key": str(other.pem)})
        with pytest.raises(OSError, match="does not belong to"):
            await mixed.server.start()

    asyncio.run(scenario())


def test_files_of_no_use_in_the_trust_list_are_told_and_passed_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = Plant(tmp_path)
        app = plant.app()
        (plant.pki / "trusted" / "notes.txt").write_text("the client's certificate is the other file")
        (plant.pki / "trusted" / "broken.crl").write_bytes(b"\x30\x03\x02\x01")
        async with running(plant), await client(plant, app):
            pass
        assert len(plant.said("file in the trust list is of no use")) == 2

    asyncio.run(scenario())


def test_a_machine_that_is_renamed_keeps_its_certificate_and_its_uri(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("socket.gethostname", lambda: "Gateway-1")
        plant = Plant(tmp_path, application_uri="", own=False)
        async with running(plant):
            assert plant.server.plan.application_uri == "urn:gateway-1:gridgate:ua"
        monkeypatch.setattr("socket.gethostname", lambda: "gateway-2")
        again = Plant(tmp_path, application_uri="")
        async with running(again), await client(again, again.app()):
            assert again.server.plan.application_uri == "urn:gateway-1:gridgate:ua"

    asyncio.run(scenario())
