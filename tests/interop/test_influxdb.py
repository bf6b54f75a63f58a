"""The forwarder and real InfluxDB 1.6.7 (Debian), stopped, killed and started again while samples come."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from gateway.feed.address import socket_path
from gateway.history.influx.forwarder import READER
from gateway.history.plan import MASTER, SERVER, InfluxPlan
from gateway.history.reader import HistoryReader
from gateway.history.spool import Spool
from gateway.points.quality import Quality
from tests.kit.feedkit import CoreSide, until
from tests.kit.gateway import START_S, wait_until
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
    return InfluxPlan(url=server.url, version=1, bucket=DATABASE, **more)  # type: ignore[arg-type]


def plant_second(core: CoreSide, second: int, chance: random.Random) -> None:
    """One second of a small plant: analogs that move, a state that seldom does, now and then a lost device."""
    moving = [row for row in range(POINTS) if chance.random() < 0.5]
    core.publish(moving, [round(chance.gauss(50, 5), 2) for _ in moving], START_NS + second * SECOND)
    if chance.random() < 0.01:
        lose_a_device(core)


def lose_a_device(core: CoreSide) -> None:
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
        await until(historian.is_ready, START_S)
        chance = random.Random(seed)
        try:
            for second in range(seconds):
                plant_second(core, second, chance)
                rows = np.flatnonzero(core.table.time_ns[:POINTS] == START_NS + second * SECOND).tolist()
                published.update((f"p{row}", START_NS + second * SECOND, float(core.table.value[row])) for row in rows)
                await asyncio.sleep(0.001)
                if harm and chance.random() < 0.001:
                    historian.stop(signal.SIGKILL)
                    lose_a_device(core)
                    historian.start()
                if harm and chance.random() < 0.0015 and (influx.running or noticed(state_dir)):
                    await asyncio.to_thread(
                        influx.stop if influx.running else influx.start,
                        *([chance.choice([signal.SIGKILL, signal.SIGTERM])] if influx.running else []),
                    )
            if not influx.running:
                await until(lambda: noticed(state_dir), START_S)
                await asyncio.to_thread(influx.start)
            if harm:  # a new process begins its waits between tries anew: they were up to a minute
                historian.stop(signal.SIGKILL)
                historian.start()
            await until(lambda: core.hub.confirmed[SERVER][MASTER] == core.hub.ring.seq, 2 * START_S)
            # In threads: a core that is busy comparing is a silent core to the historian.
            found = await asyncio.to_thread(stored, state_dir)
            assert published <= everything(found), "the store lacks what was published"
            await asyncio.to_thread(wait_until, lambda: forwarded(state_dir), "the forwarder to be done", 2 * START_S)
            assert await asyncio.to_thread(lasting_difference, state_dir, influx) == ""
        finally:
            historian.stop(signal.SIGTERM)
            await core.hub.stop()

    asyncio.run(scene())
    return published


def noticed(state_dir: Path) -> bool:
    """Whether the forwarder has met a server that was gone."""
    return "samples are not forwarded" in (state_dir / "historian.log").read_text()


def everything(samples: Mapping[str, Sequence[tuple[int, float | None, int]]]) -> set[tuple[str, int, float | None]]:
    """(point, time, value)."""
    return {(name, at, value) for name, rows in samples.items() for at, value, _ in rows}


def forwarded(state_dir: Path) -> bool:
    """Whether the forwarder has done with all that the spool holds."""
    spool = Spool(state_dir / "history", read_only=True)
    done, last = spool.cursors().get(READER, 0), spool.last_number()
    spool.close()
    return done == last


def lasting_difference(state_dir: Path, influx: InfluxServer) -> str:
    """What is amiss, and stays so: between the looks at the one and the other something may have been recorded."""
    end = time.monotonic() + START_S
    while (found := difference(state_dir, influx)) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def difference(state_dir: Path, influx: InfluxServer) -> str:
    """Empty when every sample of the store is in InfluxDB, exactly once, and nothing else; else what is amiss."""
    store = sorted(
        {(at, name, value, quality) for name, rows in stored(state_dir).items() for at, value, quality in rows}
    )
    there = sorted((at, name, value, quality) for name, rows in influx.samples().items() for at, value, quality in rows)
    if store == there:
        return ""
    spool = Spool(state_dir / "history", read_only=True)
    parts = [
        f"{len(store)} samples in the store, {len(there)} in InfluxDB",
        f"only in the store: {sorted(set(store) - set(there))[:20]}",
        f"only in InfluxDB: {sorted(set(there) - set(store))[:20]}",
        f"cursors {spool.cursors()} of {spool.last_number()}",
        *(state_dir / "historian.log").read_text().splitlines()[-20:],
    ]
    spool.close()
    return "\n".join(parts)


@pytest.mark.timeout(300)
def test_two_hours_of_a_plant_with_everything_killed_at_random(tmp_path: Path, influx: InfluxServer) -> None:
    published = play(tmp_path, influx, version_1(influx), 7_200, seed=11, harm=True)
    assert len(published) > 60_000
    for rows in stored(tmp_path / "state").values():
        times = [at for at, _, _ in rows]
        assert len(times) == len(set(times)), "two samples of a series share a time: one would hide the other"
    assert noticed(tmp_path / "state")
    assert "Traceback" not in (tmp_path / "state" / "historian.log").read_text()


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
            await until(historian.is_ready, START_S)
            for second in range(10):
                core.publish(list(range(POINTS)), [float(second)] * POINTS, START_NS + second * SECOND)
            try:
                count = POINTS * 10 - 1
                wanted = lambda: sum(map(len, influx.samples().values())) == count  # noqa: E731
                await asyncio.to_thread(wait_until, wanted, "all but one in InfluxDB", START_S)
                refused = state_dir / "history" / "refused.lp"
                await until(refused.exists, START_S)
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
            await until(historian.is_ready, START_S)
            core.publish(list(range(POINTS)), [1.0] * POINTS, START_NS)
            try:
                await until(lambda: "does not accept the token" in historian.log_path.read_text(), START_S)
                historian.stop(signal.SIGKILL)
                front.token = "the-token"
                historian.start()
                wanted = lambda: len(influx.samples()) == POINTS  # noqa: E731
                await asyncio.to_thread(wait_until, wanted, "everything in InfluxDB", START_S)
            finally:
                historian.stop(signal.SIGTERM)
                await core.hub.stop()

        asyncio.run(scene())
        assert "the-token" not in (state_dir / "historian.log").read_text()
