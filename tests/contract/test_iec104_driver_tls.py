"""The RTU driver behind TLS: our own controlled station is the RTU, and its certificate must be the RTU's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="cryptography makes the test certificates")

from gateway.cli.pki import Authority
from gateway.contracts import DeviceState
from gateway.tls.plan import TlsMasterPlan, TlsPlan
from protocols.iec104.field.driver import RtuDriver
from tests.kit import pki
from tests.kit.recordingport import RecordingPort, until
from tests.kit.rtukit import at, compiled, rtu, source
from tests.kit.station104 import points, station

MAP = "point,kind,ca,ioa,type\npower,analog,1,1,M_ME_TF_1\n"
SERVED = "point,ca,ioa,type\npower,1,1,M_ME_TF_1\n"


@contextlib.asynccontextmanager
async def talking(authority: Authority, ours: Path, rtus: Path, **rules: Any) -> AsyncIterator[RecordingPort]:
    keys = {"certificate": str(rtus), "key": str(rtus.with_suffix(".key")), "ca": str(authority.file)}
    async with station(points("power analog,spare analog"), SERVED, tls=keys) as running:
        mine = TlsPlan(
            certificate=str(ours),
            key=str(ours.with_suffix(".key")),
            ca=str(authority.file),
            masters={"rtu1": TlsMasterPlan(**rules)},
        )
        plan = replace(at(rtu(MAP), ("127.0.0.1", running.server.bound_port)), tls=mine)
        port = RecordingPort(1)
        task = asyncio.create_task(RtuDriver(plan, port).run())
        try:
            yield port
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def test_an_rtu_with_its_certificate_is_read(tmp_path: Path) -> None:
    house = pki.authority(tmp_path, "ours")

    async def scene() -> None:
        async with talking(house, house.issue("gateway"), house.issue("rtu")) as port:
            await until(lambda: port.states_of("rtu1")[-1:] == [DeviceState.ONLINE], "online")
            await until(lambda: port.value[0] == 0.0, "the interrogated value")

    asyncio.run(scene())


def test_a_certificate_that_is_not_the_rtus_is_refused_in_words(tmp_path: Path) -> None:
    house = pki.authority(tmp_path, "ours")

    async def scene() -> None:
        rules = {"fingerprints": frozenset({"00" * 32})}
        async with talking(house, house.issue("gateway"), house.issue("rtu"), **rules) as port:
            await until(lambda: port.states_of("rtu1")[-1:] == [DeviceState.LOST], "lost")
            assert "has none of the fingerprints of rtu1" in port.states[-1][2]

    asyncio.run(scene())


def test_an_rtu_of_another_authority_is_refused_in_words(tmp_path: Path) -> None:
    house, others = pki.authority(tmp_path, "ours"), pki.authority(tmp_path, "others")

    async def scene() -> None:
        async with talking(house, house.issue("gateway"), others.issue("rtu")) as port:
            await until(lambda: port.states_of("rtu1")[-1:] == [DeviceState.LOST], "lost")
            assert "TLS: CERTIFICATE_VERIFY_FAILED" in port.states[-1][2]

    asyncio.run(scene())


def test_keys_of_tls_are_checked_with_the_site(tmp_path: Path) -> None:
    tls = {"certificate": "none.crt", "key": "none.key", "ca": "none.pem"}
    _, report = compiled(source(MAP, tls=tls))
    assert sum("no file" in str(problem) for problem in report.errors) == 3
    _, report = compiled(source(MAP, tls_subject="CN=rtu"))
    assert any("has no tls" in str(problem) for problem in report.errors)
