"""Journals of small masters, and what they hold as plain lists."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.events import EVENT, EventJournal, Events
from tests.kit.feedkit import QuietLog

NAMES = [(f"bay{i}/position", f"ca 1 ioa {1000 + i} M_SP_TB_1") for i in range(8)]


def events(*seqs: int, binding: int | None = None, value: float | None = None) -> Events:
    """Event `seq` is of binding `seq` modulo 8 and has value `seq`, unless said otherwise."""
    batch = np.zeros(len(seqs), EVENT)
    batch["seq"] = seqs
    batch["binding"] = np.array(seqs) % len(NAMES) if binding is None else binding
    batch["value"] = seqs if value is None else value
    batch["time_ns"] = np.array(seqs) * 1_000_000
    return batch


def seqs(batch: Events) -> list[int]:
    return [int(seq) for seq in batch["seq"]]


class Bench:
    """Opens journals in a folder; `crash` gives what a new process would find after the old one was killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = QuietLog()
        self._opened: list[EventJournal] = []
        self._lives = 0

    def open(
        self, capacity: int = 1_000, names: list[tuple[str, str]] | None = None, folder: Path | None = None
    ) -> EventJournal:
        path = (folder or self.folder / "life0") / "main.db"
        journal = EventJournal.open(path, capacity, NAMES if names is None else names, self.log)
        self._opened.append(journal)
        return journal

    def crash(self, journal: EventJournal, capacity: int = 1_000) -> EventJournal:
        """The files as they lie on the disk at this moment, opened by another process."""
        self._lives += 1
        folder = self.folder / f"life{self._lives}"
        shutil.copytree(journal.path.parent, folder, ignore=shutil.ignore_patterns("*-shm"))
        return self.open(capacity, folder=folder)

    def said(self, event: str) -> list[dict[str, object]]:
        return [facts for _, text, facts in self.log.lines if event in text]

    def end(self) -> None:
        for journal in self._opened:
            journal.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.end()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        import time

        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.005)

    return wait
