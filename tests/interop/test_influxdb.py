"""The forwarder and real InfluxDB 1.6.7 (Debian), stopped, killed and started again while samples come."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.feed.address import socket_path
from gateway.history.plan import InfluxPlan
from gateway.history.reader import HistoryReader
from gateway.points.quality import Quality
from tests.kit.feedkit import CoreSide, until
from tests.kit.gateway import wait_until
from tests.kit.historykit import HistorianProcess, core_side, history_plan
from tests.kit.influxkit import DATABASE, Front, InfluxServer

POINTS, OWN = 20, 9
SIZE = POINTS + OWN
START_NS = 1_795_000_000_000_000_000
SECOND = 1_000_000_000


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[InfluxServer]:
    server = InfluxServer(tmp_path / "influx")
    server.start()
    yield server
    server.stop()


def version_1(server: InfluxServer, **more: object) -> InfluxPlan:
    return InfluxPlan(url=server.url, version=1, bucket=DATABASE, timeout_s=2.0, **more)  # type: ignore[arg-type]


def plant_second(core: CoreSide, second: int, chance: random.Random) -> None:
    """One second of a small plant: analogs that move, a state that seldom does, now and then a lost device."""
    moving = [row for row in range(POINTS) if chance.random() < 0.5]
    core.publish(moving, [round(chance.gauss(50, 5), 2) for _ in moving], START_NS + second * SECOND)
    if chance.random() < 0.01:
        core.hub.append(core.table.degrade(np.arange(5, dtype=np.uint32), int(Quality.COMM_LOST)))


def stored(state_dir: Path) -> dict[str, list[tuple[int, float, int]]]:
    reader = HistoryReader(state_dir / "history")
    out = {}
    for row in range(POINTS):
        samples = reader.range(f"p{row}", 0, 1 << 62)
        out[f"p{row}"] = list(
            zip(samples.time_ns.tolist(), samples.value.tolist(), samples.quality.tolist(), strict=True)
        )
    reader.close()
    return out


def play(
    tmp_path: Path, influx: InfluxServer, plan: InfluxPlan, seconds: int, seed: int, harm: bool
) -> set[tuple[str, int, float]]:
    """The plant plays; historian and server are killed at random. What was published as (point, time, value)."""
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    published: set[tuple[str, int, float]] = set()

    async def scene() -> None:
        core = core_side(state_dir, SIZE)
        await core.hub.start(socket_path(state_dir))
        historian = HistorianProcess(state_dir, core.table_catalogue, history_plan(SIZE, plan))
        historian.start()
        await until(historian.is_ready, 30)
        chance = random.Random(seed)
        try:
            for second in range(seconds):
                plant_second(core, second, chance)
                rows = np.flatnonzero(core.table.time_ns[:POINTS] == START_NS + second * SECOND).tolist()
                published.update((f"p{row}", START_NS + second * SECOND, float(core.table.value[row])) for row in rows)
                await asyncio.sleep(0.001)
                if harm and chance.random() < 0.001:
                    historian.stop(signal.SIGKILL)
                    historian.start()
                if harm and chance.random() < 0.0015:
                    await asyncio.to_thread(
                        influx.stop if influx.running else influx.start,
                        *([chance.choice([signal.SIGKILL, signal.SIGTERM])] if influx.running else []),
                    )
            if not influx.running:
                await asyncio.to_thread(influx.start)
            if not historian.alive:
                historian.start()
            await asyncio.sleep(0.2)
            await until(lambda: settled(state_dir, published), 60)
            await asyncio.to_thread(
                wait_until, lambda: same(stored(state_dir), influx.samples()), "InfluxDB to have all", 60
            )
        finally:
            historian.stop(signal.SIGTERM)
            await core.hub.stop()

    asyncio.run(scene())
    return published


def settled(state_dir: Path, published: set[tuple[str, int, float]]) -> bool:
    found = {(name, at, value) for name, rows in stored(state_dir).items() for at, value, _ in rows}
    return published <= found


def same(
    store: dict[str, list[tuple[int, float, int]]], influx: dict[str, list[tuple[int, float | None, int]]]
) -> bool:
    """Every sample of the store in InfluxDB, exactly once, and nothing else."""
    return {name: sorted(set(rows)) for name, rows in store.items()} == {n: sorted(rows) for n, rows in influx.items()}


def test_two_hours_of_a_plant_with_everything_killed_at_random(tmp_path: Path, influx: InfluxServer) -> None:
    published = play(tmp_path, influx, version_1(influx), 7_200, seed=11, harm=True)
    assert len(published) > 60_000
    found = stored(tmp_path / "state")
    for rows in found.values():
        times = [at for at, _, _ in sorted(set(rows))]
        assert len(times) == len(set(times)), "two samples of a series share a time: one would hide the other"
    log = (tmp_path / "state" / "historian.log").read_text()
    assert "samples are not forwarded" in log
    assert "Traceback" not in log


def test_the_version_2_api_with_every_answer_it_may_give(tmp_path: Path, influx: InfluxServer) -> None:
    with Front(influx, largest=40) as front:
        front.answers = [
            (503, "starting", {}),
            (429, "slow down", {"Retry-After": "0"}),
            (500, "odd", {}),
        ]
        plan = InfluxPlan(
            url=front.url, version=2, org="grid", bucket=DATABASE, token="the-token", batch_samples=500, timeout_s=2.0
        )
        play(tmp_path, influx, plan, 200, seed=3, harm=False)
        statuses = {status for _, status, _ in front.requests}
        assert {503, 429, 500, 413, 204} <= statuses
        assert max(lines for _, status, lines in front.requests if status == 204) <= 40


def test_a_bad_sample_is_set_aside_with_the_reason_and_blocks_nobody(tmp_path: Path, influx: InfluxServer) -> None:
    with Front(influx, refuse=lambda line: "point=p3," in line and line.endswith("5000000000")) as front:
        plan = InfluxPlan(url=front.url, version=2, org="grid", bucket=DATABASE, token="the-token", timeout_s=2.0)
        state_dir = tmp_path / "state"
        state_dir.mkdir()

        async def scene() -> None:
            core = core_side(state_dir, SIZE)
            await core.hub.start(socket_path(state_dir))
            historian = HistorianProcess(state_dir, core.table_catalogue, history_plan(SIZE, plan))
            historian.start()
            await until(historian.is_ready, 30)
            for second in range(10):
                core.publish(list(range(POINTS)), [float(second)] * POINTS, START_NS + second * SECOND)
            try:
                count = POINTS * 10 - 1
                wanted = lambda: sum(map(len, influx.samples().values())) == count  # noqa: E731
                await asyncio.to_thread(wait_until, wanted, "all but one in InfluxDB", 30)
                refused = state_dir / "history" / "refused.lp"
                await until(refused.exists)
            finally:
                historian.stop(signal.SIGTERM)
                await core.hub.stop()

        asyncio.run(scene())
        comment, line = (state_dir / "history" / "refused.lp").read_text().splitlines()
        assert comment.startswith("# the server answers 422: field type conflict in gridgate,point=p3")
        assert line == f"gridgate,point=p3,site=test-site value=5.0,quality=0i {START_NS + 5 * SECOND}"


def test_a_wrong_token_is_told_and_nothing_is_lost_once_it_is_right(tmp_path: Path, influx: InfluxServer) -> None:
    with Front(influx, token="another") as front:
        plan = InfluxPlan(url=front.url, version=2, org="grid", bucket=DATABASE, token="the-token", timeout_s=2.0)
        state_dir = tmp_path / "state"
        state_dir.mkdir()

        async def scene() -> None:
            core = core_side(state_dir, SIZE)
            await core.hub.start(socket_path(state_dir))
            historian = HistorianProcess(state_dir, core.table_catalogue, history_plan(SIZE, plan))
            historian.start()
            await until(historian.is_ready, 30)
            core.publish(list(range(POINTS)), [1.0] * POINTS, START_NS)
            try:
                await until(lambda: "does not accept the token" in historian.log_path.read_text(), 30)
                historian.stop(signal.SIGKILL)
                front.token = "the-token"
                historian.start()
                wanted = lambda: len(influx.samples()) == POINTS  # noqa: E731
                await asyncio.to_thread(wait_until, wanted, "everything in InfluxDB", 30)
            finally:
                historian.stop(signal.SIGTERM)
                await core.hub.stop()

        asyncio.run(scene())
        assert "the-token" not in (state_dir / "historian.log").read_text()
