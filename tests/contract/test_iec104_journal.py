"""The server and its journals: overflow told by points, what survives the process, the words of `gridgate journal`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.cli.journal import JournalOptions, journal
from gateway.config import load_site
from gateway.contracts import MasterSystemRows
from gateway.events import EVENT, EventJournal, journal_path
from protocols.iec104.journal import binding_names
from protocols.iec104.plan import ServerPlan
from protocols.iec104.server import Iec104Server
from tests.contract.server_suite import FakePort, QuietLog, until
from tests.kit.gateway import REPO
from tests.kit.iec104kit import NOON, POINTS, Site, main_master

FAULT, WAITING, LOST, OVERFLOW = 2, 8, 9, 7


def made_plan(capacity: int) -> ServerPlan:
    rows = MasterSystemRows(events_waiting=WAITING, events_lost=LOST, overflow=OVERFLOW)
    return ServerPlan(
        name="sldc", host="127.0.0.1", port=0, masters=[main_master(capacity=capacity)], system={"main": rows}
    )


async def serving(port: FakePort, capacity: int) -> Site:
    port.server = server = Iec104Server(made_plan(capacity), port)
    await server.start()
    return Site(port, server)


def test_overflow_is_shown_until_everything_was_fetched_also_over_a_restart() -> None:
    async def talk() -> None:
        port = FakePort(POINTS)
        port.set(FAULT, 0.0)
        site = await serving(port, capacity=3)
        await until(lambda: port.published.get(OVERFLOW) == 0.0)
        port.change([(FAULT, float(n % 2), 0, NOON + n * 1_000_000) for n in range(1, 6)])
        await until(lambda: port.published.get(OVERFLOW) == 1.0)
        assert (port.published[LOST], port.published[WAITING]) == (2.0, 3.0)
        await site.end()
        assert port.log.said("events lost: buffer full, oldest dropped") == [
            {"server": "sldc", "master": "main", "capacity": 3}
        ]

        port.published.clear()
        port.confirmed.clear()
        site = await serving(port, capacity=3)
        await until(lambda: port.published.get(OVERFLOW) == 1.0)
        assert port.published[LOST] == 2.0
        master = await site.master()
        frame = await master.hear_i()
        assert frame.count == 3, "the newest three"
        await master.acknowledge()
        await until(lambda: port.published.get(OVERFLOW) == 0.0)
        assert port.published[LOST] == 2.0, "what is lost stays counted"
        await site.end()

    asyncio.run(talk())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A journal of the demo site's master with two events, its gateway not running."""
    plan = load_site(REPO / "config" / "demo" / "site.yaml")
    server = plan.server("sldc")
    names = binding_names(server.plan.masters[0].bindings, plan.catalogue)
    held = EventJournal.open(journal_path(tmp_path, "sldc", "sldc-main"), 10, names, QuietLog())
    batch = np.zeros(2, EVENT)
    batch["binding"] = [names.index(name) for name in names if name[0] in ("bess1/pcs/fault", "poi/power")]
    batch["value"], batch["quality"], batch["time_ns"], batch["seq"] = [1, 12.5], [0, 2], [NOON, NOON + 1], [4, 5]
    held.append(batch)
    held.close()
    return tmp_path


def shown(state: Path, capsys: pytest.CaptureFixture[str], options: JournalOptions) -> tuple[int, list[str], str]:
    plan = replace(load_site(REPO / "config" / "demo" / "site.yaml"), state_dir=state)
    code = journal(plan, options)
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def test_the_journal_in_words(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = shown(state, capsys, JournalOptions())
    assert code == 0
    assert lines[1].split() == [
        *("sldc/sldc-main", "2", "0"),
        *("2023-11-14", "22:13:20.123", "2023-11-14", "22:13:20.123"),
        *("0", "5"),
    ]
    code, lines, _ = shown(state, capsys, JournalOptions("sldc-main"))
    assert code == 0
    assert lines[4].split() == [
        "2023-11-14",
        "22:13:20.123",
        "bess1/pcs/fault",
        "on",
        "good",
        "ca",
        "1",
        "ioa",
        "1001",
        "M_SP_TB_1",
    ]
    assert "12.5" in lines[5] and "not topical" in lines[5]
    _, lines, _ = shown(state, capsys, JournalOptions("sldc/sldc-main", limit=1))
    assert lines[-1] == "... and 1 more (--limit)"


def test_a_journal_that_is_not_there_or_not_readable_is_told(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = shown(state / "elsewhere", capsys, JournalOptions("sldc-main"))
    assert code == 1 and "has no journal yet" in errors
    code, _, errors = shown(state / "elsewhere", capsys, JournalOptions())
    assert code == 0
    code, _, errors = shown(state, capsys, JournalOptions("nobody"))
    assert code == 1 and "there is no master nobody" in errors
    journal_path(state, "sldc", "sldc-main").write_bytes(b"not a database" * 400)
    code, _, errors = shown(state, capsys, JournalOptions())
    assert code == 1 and "cannot be read" in errors
