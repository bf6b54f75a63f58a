"""What must hold in an overload, each rule with its words; a finding is a rule that did not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.overload.run import Outcome
from tests.overload.site import REFUSING

MEMORY_MB: Final = 500.0
"""Of one process, at most."""
GROWTH_MB_PER_MIN: Final = 30.0
"""In the last half of the flood, when every bounded store is full."""
GROWTH_JUDGED_S: Final = 30.0
"""A shorter flood says nothing about growth."""
LINES_OF_A_SERVER: Final = 150
"""Log lines of one process; refusing a thousand connections is not a thousand lines."""
SPARE_FDS: Final = 450
"""Above what a process held before; HMI and OPC UA let in 80 to 300 connections by their own limits."""
MOST_OPEN: Final = {"104": 3, "DNP3": 16, "OPC UA": 100, "HMI": 300}
"""Connections that each server lets stand, by its own limits."""
OWN_EVENTS: Final = 1_000
"""Of the gateway's own points, which a master may have lost too."""
SLOWER_CYCLES: Final = 0.5
"""Of the cycles that there would be without a disturbance."""
LOST_FEED: Final = "feed overrun: changes lost on the way to this process"

MASTERS: Final = {
    "104 main": "system/master/sldc/main",
    "104 away": "system/master/sldc/away",
    "DNP3 main": "system/master/rldc/main",
    "DNP3 away": "system/master/rldc/away",
}


def findings(outcome: Outcome, timing: bool) -> list[str]:
    """What did not hold; `timing`: rules that need a machine that is not busy with other things."""
    rules: list[Callable[[Outcome], Iterator[str]]] = [_flood, _accounts, _overflow, _crowd]
    rules += [_quiet, _processes, _control, *((_pace, _growth) if timing else ())]
    return [words for rule in rules for words in rule(outcome)]


def made(outcome: Outcome, master: str) -> int:
    """Changes of the points that this master has."""
    points = len(outcome.told[master]["last"])
    return sum(outcome.made[:points])


def counted(outcome: Outcome, master: str) -> int:
    """Events lost for it, as the gateway counts them."""
    return int(outcome.newest(f"{MASTERS[master]}/events_lost"))


def _flood(outcome: Outcome) -> Iterator[str]:
    if not sum(outcome.made):
        yield "there was no flood: the gateway read nothing while the devices changed"


def _accounts(outcome: Outcome) -> Iterator[str]:
    """Every change was told, or is counted as lost: of the masters that keep up, and of those that were away."""
    for master in MASTERS:
        told, whole, lost = outcome.told[master], made(outcome, master), counted(outcome, master)
        short = whole - told["events"]
        # The first report of each point, from before the flood, may be among what was dropped.
        if short > lost:
            yield f"{master}: {short} changes were not told, but only {lost} are counted as lost"
        elif lost > short + len(told["last"]) + OWN_EVENTS and not feed_overruns(outcome):
            yield f"{master}: {lost} events are counted as lost, but only {short} changes were not told"
        for what in ("doubled", "backwards"):
            if told[what]:
                yield f"{master}: {told[what]} events {what}"
        points = len(told["last"])
        # Of a journal that ran over the newest events are kept: the rest is for an interrogation.
        if not lost and (
            stale := sum(last != now for last, now in zip(told["last"], outcome.made[:points], strict=True))
        ):
            yield f"{master}: {stale} points do not stand at their last value in the end"


def _overflow(outcome: Outcome) -> Iterator[str]:
    """Whoever lost events was told so."""
    for master, point in MASTERS.items():
        if not counted(outcome, master):
            continue
        if "overflows" in outcome.told[master]:
            if not outcome.told[master]["overflows"]:
                yield f"{master}: events were lost, and no response said so (IIN2.3)"
        elif not any(_said(outcome, master, f"{point}/{name}") for name in ("overflow", "events_lost")):
            yield f"{master}: events were lost, and none of its points said so"
    words = ("events lost: queue full", "events lost: buffer full")
    lines = {line.get("master") for line in outcome.log if str(line.get("event", "")).startswith(words)}
    for master in ("away", "slow"):
        if master not in lines:
            yield f"no line of the log says that events of master {master} were lost"
    if not outcome.newest("system/master/sldc/slow/events_lost"):
        yield "the master that reads a byte a second lost nothing: the flood did not fill its journal"
    if not outcome.newest("system/master/sldc/away/events_lost"):
        yield "the journal of the master that is away did not run over"


def _said(outcome: Outcome, master: str, point: str) -> bool:
    return any(value > 0 for _, value in outcome.told[master]["system"].get(point, ()))


def feed_overruns(outcome: Outcome) -> int:
    """Changes that did not reach a server's process in time, as it says."""
    return sum(int(line.get("lost") or 0) for line in outcome.log if line.get("event") == LOST_FEED)


def _crowd(outcome: Outcome) -> Iterator[str]:
    """Every connection that was closed for want of room or right is counted; nobody stays beyond the limits."""
    closed: Counter[str] = Counter()
    for target, most in MOST_OPEN.items():
        if (still := sum(row["open"] for row in outcome.crowd if row["target"] == target)) > most:
            yield f"{target}: {still} connections of the crowd stand open, {most} are the most"
    for row in outcome.crowd:
        closed[row["target"]] += row["closed by the gateway"]
        if row["failed"]:
            yield f"{row['failed']} connections to {row['target']} from {row['source']} could not even be tried"
    for target, server in zip(("104", "DNP3", "OPC UA"), REFUSING, strict=True):
        ended = sum(_ends_with_a_line(line, server) for line in outcome.log)
        refused = int(outcome.newest(f"system/server/{server}/refused"))
        if closed[target] > refused + ended:
            yield f"{target}: {closed[target]} connections were closed, {refused} are counted and {ended} logged"


def _ends_with_a_line(line: dict[str, Any], server: str) -> bool:
    gone = ("connection closed", "connection dropped", "master disconnected")
    return server in (line.get("server"), str(line.get("process", "")).partition(" ")[2]) and line.get("event") in gone


def _quiet(outcome: Outcome) -> Iterator[str]:
    # A trip that was made on purpose is a line of control's, as it must be.
    lines = Counter(str(line.get("process", "?")) for line in outcome.log if line.get("part") != "control")
    for process, count in lines.items():
        if count > LINES_OF_A_SERVER:
            often = Counter(str(line.get("event")) for line in outcome.log if line.get("process") == process)
            yield f"{process} wrote {count} lines into the log, most often: {often.most_common(2)}"


def _processes(outcome: Outcome) -> Iterator[str]:
    """Nothing died, nothing holds more than it may."""
    for process, samples in outcome.processes.items():
        if outcome.pids[process] > 1:
            yield f"{process} was started {outcome.pids[process]} times"
        if (most := max(sample.rss_mb for sample in samples)) > MEMORY_MB:
            yield f"{process} took {most:.0f} MB of memory"
        if (most_fds := max(sample.fds for sample in samples)) > samples[0].fds + SPARE_FDS:
            yield f"{process} held {most_fds} file descriptors, {samples[0].fds} before"
    for line in outcome.log:
        if "Traceback" in str(line.get("event")) or "exc" in line:
            yield f"an exception in the log: {line}"


def _control(outcome: Outcome) -> Iterator[str]:
    """The cycle never stalled, and both ways led to their write, in every phase."""
    if any(value for _, value in outcome.system.get("system/interlock/watchdog/tripped", ())):
        yield "the control cycle stalled: its watchdog tripped"
    for name, ways in outcome.ways.items():
        for phase, (began_ns, ended_ns) in outcome.phases.items():
            inside = [way for at_ns, way in ways if began_ns <= at_ns < ended_ns]
            if not inside:
                yield f"{phase}: nothing was seen of the {name}"
            elif lost := sum(way is None for way in inside):
                yield f"{phase}: {lost} of {len(inside)} times the {name} led to no write"
    if wrong := Counter(answer for _, _, answer in outcome.told["104 main"]["commands"] if answer != "done"):
        yield f"commands of the 104 master were not done: {dict(wrong)}"


def _pace(outcome: Outcome) -> Iterator[str]:
    """The flood was one, and the control cycle kept its period."""
    began_ns, ended_ns = outcome.phases["flood"]
    reached = sum(outcome.made) / outcome.seconds
    if reached < 0.5 * outcome.scale.changes_per_s:
        yield f"the flood reached {reached:,.0f} changes/s of {outcome.scale.changes_per_s:,.0f}"
    cycles = [(at, value) for at, value in outcome.system["system/control/cycles"] if began_ns <= at < ended_ns]
    if len(cycles) > 1:
        period_ms = (cycles[-1][0] - cycles[0][0]) / 1e6 / max(1.0, cycles[-1][1] - cycles[0][1])
        if period_ms > 20.0 / SLOWER_CYCLES:
            yield f"the control cycle ran every {period_ms:.0f} ms in the flood"


def _growth(outcome: Outcome) -> Iterator[str]:
    began_ns, ended_ns = outcome.phases["flood"]
    if ended_ns - began_ns < GROWTH_JUDGED_S * 1e9:
        return
    middle_ns = (began_ns + ended_ns) // 2
    for process, samples in outcome.processes.items():
        late = [sample for sample in samples if middle_ns <= sample.at_ns < ended_ns]
        if len(late) > 4:
            grown = late[-1].rss_mb - late[0].rss_mb
            per_min = grown / ((late[-1].at_ns - late[0].at_ns) / 60e9)
            if per_min > GROWTH_MB_PER_MIN:
                yield f"{process} grows by {per_min:.0f} MB a minute"
