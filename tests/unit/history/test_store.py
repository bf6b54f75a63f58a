"""One writer, any reader: what was recorded is found, whatever moved from the spool into the day files meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.history.batch import RECORD, Batch
from gateway.history.days import DAY_NS, HOUR_NS, day_of, days_in, file_of
from gateway.history.plan import Retention
from gateway.history.reader import HistoryReader
from gateway.history.samples import Samples
from gateway.history.spool import SeriesInfo, Spool
from gateway.history.sqlitefile import DamagedHistory
from gateway.history.writer import PART_SAMPLES, STORE, HistoryWriter

DAY = 20_000
START_NS = DAY * DAY_NS
NAMES = ["poi/frequency", "bess1/soc", "bess1/breaker"]


def records(rows: list[tuple[int, float, int, int]]) -> Batch:
    """(series, value, quality, time) each."""
    out = np.empty(len(rows), RECORD)
    for number, (series, value, quality, time_ns) in enumerate(rows):
        out[number] = (series, quality, value, time_ns, 0)
    return out


def opened(folder: Path, retention: Retention | None = None) -> tuple[HistoryWriter, dict[str, int]]:
    writer = HistoryWriter(folder, retention or Retention())
    return writer, dict(writer.register([SeriesInfo(name) for name in NAMES]))


def listed(samples: Samples) -> list[tuple[int, float, int]]:
    return list(zip(samples.time_ns.tolist(), samples.value.tolist(), samples.quality.tolist(), strict=True))


def test_recorded_before_and_after_the_day_file_took_it(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    soc = ids["bess1/soc"]
    writer.append(records([(soc, 50.0, 0, START_NS), (soc, 50.1, 0, START_NS + 10)]), 7, 0.0)
    reader = HistoryReader(tmp_path)
    expected = [(START_NS, 50.0, 0), (START_NS + 10, 50.1, 0)]
    assert listed(reader.range("bess1/soc", START_NS, START_NS + HOUR_NS)) == expected
    writer.take()
    assert listed(reader.range("bess1/soc", START_NS, START_NS + HOUR_NS)) == expected
    assert listed(reader.range("bess1/soc", START_NS + 1, START_NS + 10)) == []
    assert listed(reader.last("bess1/soc")) == expected[1:]
    assert listed(reader.at_time("bess1/soc", START_NS + 10)) == expected[1:]
    assert listed(reader.before("bess1/soc", START_NS + 10)) == expected[:1]
    assert listed(reader.last("never/recorded")) == []
    reader.close()
    writer.close()


def test_a_value_of_days_ago_is_the_last_one_still(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    writer.append(records([(ids["bess1/breaker"], 2.0, 0, START_NS)]), 1, 0.0)
    writer.append(records([(ids["bess1/soc"], 50.0, 0, START_NS + 5 * DAY_NS)]), 2, 0.0)
    writer.take()
    reader = HistoryReader(tmp_path)
    assert listed(reader.at_time("bess1/breaker", START_NS + 6 * DAY_NS)) == [(START_NS, 2.0, 0)]
    reader.close()
    writer.close()


step = st.one_of(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from([0.0, 49.98, 50.01, float("inf"), 1e-9]),
            st.sampled_from([0, 2, 6]),
            st.one_of(st.integers(0, 3 * 3600), st.integers(23 * 3600, 26 * 3600)),
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(["take", "merge", "restart", "clean"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(step, min_size=1, max_size=14))
def test_the_store_finds_what_a_plain_list_has(tmp_path_factory: pytest.TempPathFactory, story: list[object]) -> None:
    folder = tmp_path_factory.mktemp("history")
    writer, ids = opened(folder)
    kept: dict[int, list[tuple[int, float, int]]] = {number: [] for number in ids.values()}
    for number, event in enumerate(story):
        if isinstance(event, list):
            rows = [(series, value, quality, START_NS + second * 10**9) for series, value, quality, second in event]
            writer.append(records(rows), number, 0.0)
            for series, value, quality, time_ns in rows:
                kept[series].append((time_ns, value, quality))
        elif event == "take":
            writer.take()
        elif event == "merge":
            while writer.merge(START_NS + 3 * DAY_NS):
                pass
        elif event == "clean":
            writer.clean([], DAY)
        else:
            writer.close()
            writer, ids = opened(folder)
    reader = HistoryReader(folder)
    for name, series in ids.items():
        expected = sorted(kept[series])
        expected = [sample for at, sample in enumerate(expected) if at == 0 or sample != expected[at - 1]]
        found = listed(reader.range(name, START_NS - 1, START_NS + 2 * DAY_NS))
        assert [sample[0] for sample in found] == sorted(sample[0] for sample in found)
        assert set(found) == set(expected)
        if expected:
            assert listed(reader.last(name))[0][0] == expected[-1][0]
            middle = expected[len(expected) // 2][0]
            earlier = [sample for sample in expected if sample[0] < middle]
            assert [s[0] for s in listed(reader.before(name, middle))] == [s[0] for s in earlier[-1:]]
    reader.close()
    writer.close()


def test_small_blocks_of_an_hour_become_one(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    soc = ids["bess1/soc"]
    for minute in range(60):
        rows = [(soc, float(minute), 0, START_NS + (minute * 60 + second) * 10**9) for second in range(60)]
        writer.append(records(rows), minute, 0.0)
        writer.take()
    before = list(writer._day(DAY).read(soc, START_NS, START_NS + DAY_NS))
    assert writer.merge(START_NS + 2 * HOUR_NS)
    assert not writer.merge(START_NS + 2 * HOUR_NS)
    after = list(writer._day(DAY).read(soc, START_NS, START_NS + DAY_NS))
    assert (len(before), len(after)) == (60, 1)
    assert listed(after[0]) == listed(Samples.joined(before))
    writer.close()


def test_old_days_and_too_many_bytes_go(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path, Retention(days=3))
    for day in range(6):
        writer.append(records([(ids["bess1/soc"], 1.0, 0, START_NS + day * DAY_NS)]), day, 0.0)
    writer.take()
    told = writer.clean([], DAY + 5)
    assert days_in(tmp_path) == [DAY + 3, DAY + 4, DAY + 5]
    assert len(told) == 3
    writer.close()
    writer, _ = opened(tmp_path, Retention(days=30, size_bytes=file_of(tmp_path, DAY + 5).stat().st_size * 2))
    writer.clean([], DAY + 5)
    assert days_in(tmp_path) == [DAY + 4, DAY + 5], "a shorter retention holds from the next start on"
    writer.close()


def test_the_spool_keeps_what_a_reader_has_not_seen_until_it_is_too_big(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path, Retention(spool_bytes=1))
    writer.spool.set_cursor("influx", 0)
    first = writer.append(records([(ids["bess1/soc"], 1.0, 0, START_NS)]), 1, 0.0)
    assert writer.clean(["influx"], DAY) == [], "what the day files do not have is never dropped"
    assert [stored.number for stored in writer.spool.after(0)] == [first]
    writer.take()
    assert writer.clean(["influx"], DAY) == ["up to 1 samples waiting for influx"]
    assert list(writer.spool.after(0)) == []
    writer.close()


def test_a_point_that_is_gone_or_renamed_is_still_found_by_its_old_name(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    writer.append(records([(ids["bess1/soc"], 55.0, 0, START_NS)]), 1, 0.0)
    writer.close()
    writer = HistoryWriter(tmp_path, Retention())
    renamed = writer.register([SeriesInfo("bess1/bms/soc", "%")])["bess1/bms/soc"]
    writer.append(records([(renamed, 56.0, 0, START_NS + 1)]), 2, 0.0)
    reader = HistoryReader(tmp_path)
    assert listed(reader.last("bess1/soc")) == [(START_NS, 55.0, 0)]
    assert listed(reader.last("bess1/bms/soc")) == [(START_NS + 1, 56.0, 0)]
    assert reader.infos()["bess1/bms/soc"].unit == "%"
    reader.close()
    writer.close()


def test_a_file_that_is_no_history_is_named(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DamagedHistory, match=r"spool\.sqlite"):
        HistoryWriter(tmp_path, Retention())


def test_nothing_recorded_yet_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HistoryReader(tmp_path)


WRITER = textwrap.dedent(
    """
    import sys, time
    import numpy as np
    from pathlib import Path
    from gateway.history.batch import RECORD
    from gateway.history.spool import SeriesInfo
    from gateway.history.plan import Retention
    from gateway.history.writer import HistoryWriter
    folder, start = Path(sys.argv[1]), int(sys.argv[2])
    writer = HistoryWriter(folder, Retention())
    series = writer.register([SeriesInfo("counter")])["counter"]
    number = writer.spool.feed_seq()
    while True:
        batch = np.zeros(50, RECORD)
        batch["series"], batch["value"] = series, np.arange(number, number + 50)
        batch["time_ns"] = start + np.arange(number, number + 50) * 10**9
        number += 50
        writer.append(batch, number, 0.0)
        print(number, flush=True)
        if number % 250 == 0:
            writer.take()
        if number % 1000 == 0:
            writer.merge(start + 40 * 86_400 * 10**9)
            writer.clean([], start // (86_400 * 10**9))
    """
)


def test_killed_fifty_times_while_writing_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    acknowledged = 0
    for _ in range(50):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(START_NS)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
            text=True,
        )
        assert process.stdout is not None
        for line in range(int(random.integers(1, 25))):
            told = process.stdout.readline()
            assert told, f"the writer ended by itself at line {line}"
            acknowledged = int(told)
        process.send_signal(signal.SIGKILL)
        for told in process.stdout:
            acknowledged = int(told) if told.endswith("\n") else acknowledged
        process.wait()
        process.stdout.close()
    reader = HistoryReader(tmp_path)
    found = reader.range("counter", START_NS, START_NS + 40 * DAY_NS)
    count = len(found)
    assert count >= acknowledged > 1000
    np.testing.assert_array_equal(found.value, np.arange(count))
    np.testing.assert_array_equal(found.time_ns, START_NS + np.arange(count) * 10**9)
    reader.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> object:
    """A file system of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_stops_cleanly_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    writer, ids = opened(small_disk / "history")
    random = np.random.default_rng(1)
    kept = 0
    with pytest.raises(OSError):
        for number in range(10_000):
            batch = np.zeros(1000, RECORD)
            batch["series"], batch["value"] = ids["bess1/soc"], random.random(1000)
            batch["time_ns"] = START_NS + (number * 1000 + np.arange(1000)) * 10**6
            writer.append(batch, number, 0.0)
            kept += 1000
    reader = HistoryReader(small_disk / "history")
    assert len(reader.range("bess1/soc", START_NS, START_NS + DAY_NS)) == kept
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    writer.append(records([(ids["bess1/soc"], 1.0, 0, START_NS - 1)]), 99_999, 0.0)
    writer.take()
    assert len(reader.range("bess1/soc", START_NS - 1, START_NS + DAY_NS)) == kept + 1
    reader.close()
    writer.close()


def test_what_waited_for_the_disk_is_spooled_in_pieces_that_can_be_read_one_by_one(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    batch = np.zeros(2 * PART_SAMPLES + 5, RECORD)
    batch["series"], batch["time_ns"] = ids["bess1/soc"], START_NS + np.arange(len(batch)) * 1000
    assert writer.append(batch, 77, 0.0) == 3
    assert [stored.count for stored in writer.spool.after(0)] == [PART_SAMPLES, PART_SAMPLES, 5]
    assert writer.spool.feed_seq() == 77
    reader = HistoryReader(tmp_path)
    assert len(reader.range("bess1/soc", START_NS, START_NS + DAY_NS)) == len(batch)
    reader.close()
    writer.close()


def test_a_day_file_that_was_taken_before_the_cursor_moved_takes_nothing_twice(tmp_path: Path) -> None:
    """As after a kill between the day's commit and the cursor's."""
    writer, ids = opened(tmp_path)
    writer.append(records([(ids["bess1/soc"], 1.0, 0, START_NS)]), 1, 0.0)
    writer.take()
    writer.close()
    spool = Spool(tmp_path)
    spool.set_cursor(STORE, 0)
    spool.close()
    writer, _ = opened(tmp_path)
    writer.take()
    reader = HistoryReader(tmp_path)
    assert len(reader.range("bess1/soc", START_NS, START_NS + 1)) == 1
    assert day_of(START_NS) == DAY
    reader.close()
    writer.close()


def test_what_stands_and_is_recorded_again_after_a_restart_is_found_once(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    sample = (ids["bess1/soc"], 50.0, 0, START_NS)
    writer.append(records([sample]), 1, 0.0)
    writer.take()
    writer.append(records([sample, (ids["bess1/soc"], 51.0, 0, START_NS + 1)]), 2, 0.0)
    reader = HistoryReader(tmp_path)
    assert listed(reader.range("bess1/soc", START_NS, START_NS + 2)) == [(START_NS, 50.0, 0), (START_NS + 1, 51.0, 0)]
    reader.close()
    writer.close()


def test_what_was_recorded_last_outlives_the_spool(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    soc, frequency = ids["bess1/soc"], ids["poi/frequency"]
    writer.append(records([(soc, 50.0, 0, START_NS), (frequency, float("nan"), 4, START_NS + 1)]), 7, 0.0)
    writer.append(records([(soc, 51.0, 0, START_NS + 2)]), 8, 0.0)
    for _ in range(2):
        found = writer.newest()
        assert {int(r["series"]): int(r["time_ns"]) for r in found} == {soc: START_NS + 2, frequency: START_NS + 1}
        assert np.isnan(found["value"][found["series"] == frequency]).all()
        writer.take()
        writer.clean([], DAY)
        assert list(writer.spool.after(0)) == []
        writer.close()
        writer, _ = opened(tmp_path)
        assert writer.spool.feed_seq() == 8
    writer.append(records([(soc, 52.0, 4, START_NS + 3)]), 9, 0.0)
    writer.close()
    writer, _ = opened(tmp_path)
    assert writer.newest()["value"][writer.newest()["series"] == soc] == [52.0]
    assert writer.spool.feed_seq() == 9
    writer.close()


def test_a_day_that_is_being_made_is_not_there_yet(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    writer.append(records([(ids["bess1/soc"], 50.0, 0, START_NS)]), 1, 0.0)
    file_of(tmp_path, DAY).touch()  # as another process sees it between its creation and its first transaction
    reader = HistoryReader(tmp_path)
    assert listed(reader.last("bess1/soc")) == [(START_NS, 50.0, 0)]
    writer.take()
    assert listed(reader.last("bess1/soc")) == [(START_NS, 50.0, 0)]
    reader.close()
    writer.close()


def test_room_of_what_the_spool_has_deleted_counts_for_nothing(tmp_path: Path) -> None:
    """Else a spool that was large once would give up what a reader waits for, for ever after."""
    writer, ids = opened(tmp_path, Retention(spool_bytes=500_000))
    writer.spool.set_cursor("influx", 0)
    batch = np.zeros(200_000, RECORD)
    batch["series"], batch["value"] = ids["bess1/soc"], np.random.default_rng(2).random(200_000)
    batch["time_ns"] = START_NS + np.arange(200_000)
    number = writer.append(batch, 1, 0.0)
    writer.take()
    assert writer.spool.size_bytes() > 500_000
    writer.spool.set_cursor("influx", number)
    assert writer.clean(["influx"], DAY) == []
    assert writer.spool.size_bytes() < 100_000
    waiting = writer.append(records([(ids["bess1/soc"], 1.0, 0, START_NS)]), 2, 0.0)
    writer.take()
    assert writer.clean(["influx"], DAY) == []
    assert [stored.number for stored in writer.spool.after(number)] == [waiting]
    writer.close()


def test_a_damaged_day_is_set_aside_and_recording_goes_on(tmp_path: Path) -> None:
    writer, ids = opened(tmp_path)
    writer.append(records([(ids["bess1/soc"], 50.0, 0, START_NS)]), 1, 0.0)
    writer.take()
    writer.close()
    path = file_of(tmp_path, DAY)
    path.write_bytes(path.read_bytes()[:100] + b"x" * 8000)
    writer, ids = opened(tmp_path)
    writer.append(records([(ids["bess1/soc"], 51.0, 0, START_NS + 1)]), 2, 0.0)
    writer.take()
    assert len(writer.troubles) == 1
    assert list(tmp_path.glob("*.damaged-*"))
    reader = HistoryReader(tmp_path)
    assert listed(reader.range("bess1/soc", START_NS, START_NS + 9)) == [(START_NS + 1, 51.0, 0)]
    reader.close()
    writer.close()


def test_a_damaged_block_is_left_and_told_once(tmp_path: Path) -> None:
    import sqlite3

    writer, ids = opened(tmp_path)
    for second in range(2):
        writer.append(records([(ids["bess1/soc"], float(second), 0, START_NS + second * 10**9)]), second, 0.0)
        writer.take()
    with sqlite3.connect(file_of(tmp_path, DAY)) as db:
        db.execute("UPDATE blocks SET data = zeroblob(50)")
    db.close()
    assert not writer.merge(START_NS + DAY_NS)
    assert not writer.merge(START_NS + DAY_NS)
    assert len(writer.troubles) == 1
    writer.close()
