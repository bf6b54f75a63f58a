"""A journal's file after a bad disk: whatever bytes lie there, the gateway starts, and says when something is gone."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from gateway.events import EVENT, EventJournal
from gateway.events.record import BlobError, pack_events, unpack_events
from tests.kit.feedkit import QuietLog

NAMES = [(f"p{i}", f"ca 1 ioa {i}") for i in range(50)]


def written(folder: Path, killed: bool) -> list[int]:
    """A journal as a killed process leaves it, all in the write-ahead log, or an orderly one; returns what it holds."""
    journal = EventJournal.open(folder / "live" / "m.db", 5_000, NAMES, QuietLog())
    for start in range(0, 2_000, 100):
        batch = np.zeros(100, EVENT)
        batch["seq"] = np.arange(start, start + 100) + 1
        batch["binding"] = batch["seq"] % 50
        batch["value"] = batch["seq"] * 1.5
        journal.append(batch)
        journal.commit()
    journal.take(100)
    journal.release(100)
    journal.commit()
    (folder / "dead").mkdir()
    if not killed:
        journal.close()
    for path in (folder / "live").glob("m.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, folder / "dead" / path.name)
    journal.close()
    return list(range(101, 2_001))


@pytest.mark.parametrize("victim", ["m.db", "m.db-wal"])
def test_any_damage_is_survived_and_told(tmp_path: Path, victim: str) -> None:
    held = written(tmp_path, killed=victim == "m.db-wal")
    chance = random.Random(victim)
    outcomes = {"whole": 0, "older": 0, "aside": 0}
    for turn in range(120):
        folder = tmp_path / f"turn{turn}"
        shutil.copytree(tmp_path / "dead", folder)
        data = bytearray((folder / victim).read_bytes())
        if turn % 4 == 3:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(1 << chance.randrange(8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        (folder / victim).write_bytes(data)
        log = QuietLog()
        journal = EventJournal.open(folder / "m.db", 5_000, NAMES, log)
        found = [int(seq) for seq in journal.take(9_999)["seq"]]
        journal.append(np.zeros(1, EVENT))
        assert journal.commit()
        journal.close()
        if "journal is damaged: moved aside, a new one is begun" in log.events():
            outcomes["aside"] += 1
            assert found == []
        else:
            outcomes["whole" if found == held else "older"] += 1
        shutil.rmtree(folder)
    assert outcomes["aside"] or outcomes["older"], outcomes


def test_a_blob_is_whole_or_refused() -> None:
    batch = np.zeros(300, EVENT)
    batch["seq"] = np.arange(300)
    blob = pack_events(batch)
    assert (unpack_events(blob, 300) == batch).all()
    chance = random.Random(1)
    for _ in range(2_000):
        data = bytearray(blob)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with contextlib.suppress(BlobError):
            assert (unpack_events(bytes(data), 300) == batch).all(), "a bit that means nothing"
    for wrong in (b"", blob[:-1], None, "text", 7):
        with pytest.raises(BlobError):
            unpack_events(wrong, 300)
    with pytest.raises(BlobError):
        unpack_events(blob, 299)
    with pytest.raises(BlobError):
        unpack_events(blob, 1 << 40)
