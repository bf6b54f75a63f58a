"""Events on the disk: how many a second, how long a commit takes, how quickly 150,000 of them come back."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from bench.result import Result, percentile
from gateway.events import EVENT, EventJournal, Events
from gateway.log import get_log

HELD: Final = 150_000
EVENTS: Final = 1_000_000
BATCH: Final = 1_000
BINDINGS: Final = 3_000
ROWS: Final = 200_000
AT_LEAST: Final = 200_000.0
COMMITS: Final = 60
NAMES: Final = [(f"p{i}", f"ca 1 ioa {i}") for i in range(BINDINGS)]


def _batches(count: int) -> Iterable[Events]:
    """Floats that wander on 3,000 bindings, as a busy site makes them."""
    chance = np.random.default_rng(1)
    for start in range(0, count, BATCH):
        batch = np.zeros(BATCH, EVENT)
        batch["binding"] = chance.integers(0, BINDINGS, BATCH)
        batch["value"] = chance.normal(100.0, 10.0, BATCH).astype(np.float32)
        batch["time_ns"] = time.time_ns() + np.arange(BATCH)
        batch["seq"] = np.arange(start + 1, start + BATCH + 1)
        yield batch


def _durable_rate(folder: Path) -> tuple[float, float]:
    """(events/s until all are on disk, CPU s per million). The master confirms only what is on disk: none is spared."""
    journal = EventJournal.open(folder / "rate.db", HELD, NAMES, get_log())
    journal.start()
    batches = list(_batches(EVENTS))
    began, cpu, released = time.perf_counter(), time.process_time(), 0
    for batch in batches:
        journal.append(batch)
        while len(journal) > HELD - BATCH:
            on_disk = journal.confirmed_seq - released
            journal.take(on_disk)
            journal.release(on_disk)
            released += on_disk
            if not on_disk:
                time.sleep(0.0005)
    while not journal.settled:
        time.sleep(0.0005)
    seconds = time.perf_counter() - began
    cpu_s = time.process_time() - cpu
    if journal.lost:
        raise RuntimeError(f"{journal.lost} events lost")
    journal.close()
    return EVENTS / seconds, cpu_s * 1e6 / EVENTS


def _row_per_event(folder: Path) -> float:
    """The plain way: a row per event, a commit per batch, the same durability; events/s."""
    db = sqlite3.connect(folder / "rows.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, binding, quality, value, time_ns, seq)")
    batches = [batch.tolist() for batch in _batches(ROWS)]
    began = time.perf_counter()
    for rows in batches:
        db.execute("BEGIN")
        db.executemany("INSERT INTO events (binding, quality, value, time_ns, seq) VALUES (?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")
    seconds = time.perf_counter() - began
    db.close()
    return ROWS / seconds


def _commits(folder: Path) -> list[float]:
    """ms that commits of 10,000 events take: 200,000/s in turns of 50 ms."""
    journal = EventJournal.open(folder / "commits.db", HELD, NAMES, get_log())
    times = []
    batches = iter(_batches(COMMITS * 10_000))
    for _ in range(COMMITS):
        for _ in range(10):
            journal.append(next(batches))
        began = time.perf_counter()
        journal.commit()
        times.append((time.perf_counter() - began) * 1e3)
        journal.take(HELD)
        journal.release(journal.in_flight)
    journal.close()
    return times


def _reopening(folder: Path) -> tuple[float, float]:
    """(ms to open a journal that holds 150,000 events, octets on disk per event)."""
    path = folder / "held.db"
    journal = EventJournal.open(path, HELD, NAMES, get_log())
    for batch in _batches(HELD):
        journal.append(batch)
        journal.commit()
    journal.close()
    began = time.perf_counter()
    journal = EventJournal.open(path, HELD, NAMES, get_log())
    took_ms = (time.perf_counter() - began) * 1e3
    if len(journal) != HELD:
        raise RuntimeError(f"{len(journal)} events came back")
    journal.close()
    return took_ms, path.stat().st_size / HELD


def measure() -> Iterable[Result]:
    """Durable events per second, commits, and the way back."""
    with tempfile.TemporaryDirectory(prefix="gridgate-bench-") as name:
        folder = Path(name)
        rate, cpu_us = _durable_rate(folder)
        rows = _row_per_event(folder)
        commits = _commits(folder)
        open_ms, octets = _reopening(folder)
    yield Result(
        name="journal_durable_events",
        value=rate,
        unit="events/s",
        at_least=AT_LEAST,
        peer="sqlite, a row per event",
        peer_value=rows,
        note=f"synchronous=FULL; {cpu_us:.2f} us of CPU an event; higher is better",
    )
    yield Result(name="journal_commit_10000_p50", value=percentile(commits, 50), unit="ms", note="fsync included")
    yield Result(name="journal_commit_10000_p99", value=percentile(commits, 99), unit="ms", note="fsync included")
    yield Result(
        name="journal_open_150000", value=open_ms, unit="ms", note=f"{octets:.1f} octets on disk per event held"
    )
