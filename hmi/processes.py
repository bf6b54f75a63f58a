"""The gateway's other processes as the kernel shows them: children of the same supervisor, by title."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.site.plan import SitePlan

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_TITLE: Final = "gridgate "


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """One process that runs. CPU time since its start."""

    title: str
    pid: int
    resident_bytes: int
    cpu_s: float


def expected(site: SitePlan) -> list[str]:
    """Titles of the processes that this site has."""
    servers = [f"{entry.protocol} {entry.name}" for entry in site.servers]
    return ["core", *servers, *(["historian"] if site.history is not None else []), "hmi"]


def running(proc: Path = Path("/proc"), parent: int | None = None) -> dict[str, ProcessState]:
    """By title; what has just ended is left out. Quick: no disk is touched."""
    parent = os.getppid() if parent is None else parent
    try:
        children = (proc / str(parent) / "task" / str(parent) / "children").read_text().split()
    except OSError:
        return {}
    states = [state for pid in children if (state := _state(proc / pid)) is not None]
    return {state.title: state for state in states}


def _state(folder: Path) -> ProcessState | None:
    try:
        title = (folder / "cmdline").read_bytes().partition(b"\0")[0].decode("utf-8", "replace")
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # Fields from the third on (proc(5)): state, ..., utime 14, stime 15, ..., rss 24.
    if not title.startswith(_TITLE) or fields[0] == "Z":
        return None
    return ProcessState(
        title=title.removeprefix(_TITLE),
        pid=int(folder.name),
        resident_bytes=int(fields[21]) * _PAGE,
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
    )
