"""The books laid side by side: what was lost, doubled, out of order, wrong; commands; alarms. The bar is zero.

What design.md allows, and nothing else, is not called a fault: what was not acknowledged when a link or a worker went
may come again directly after it is back (`repeated`, and bounded); a receiver that keeps the newest only may miss what
came while its link was down; a command whose device went while it was under way may be either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.soak.books import CAUGHT_UP_NS, MILLISECOND, PACE_NS, UNKNOWN, Numbers, Told, Truth
from tests.soak.deeds import alarms, commands
from tests.soak.ledger import EVENT
from tests.soak.plan import Peer
from tests.soak.run import Outcome
from tests.soak.trouble import Fault
from tests.soak.verdict import Verdict

SECOND: Final = 1_000_000_000
EVERYTHING: Final = ("iec104", "dnp3", "influx")
"""Protocols that must tell every change, whatever happens to the link."""
WHILE_LINKED: Final = ("opcua", "mqtt")
"""... that must while the link stands."""
SETTLES_NS: Final = 5 * SECOND
"""A link that came up, or is about to go, is not held to completeness for so long."""
AGAIN_NS: Final = 20 * SECOND
"""What comes again comes within this of a new link."""
AFTERMATH_NS: Final = 20 * SECOND
"""A fault of a device or of the core shows in quality for so long after its end."""
AHEAD_NS: Final = 60 * SECOND
"""Longer than the clock is ever stepped ahead."""
RESTATED_NS: Final = 1_000
MOST_AGAIN: Final = {"iec104": 12 * 127, "dnp3": 2048}
"""Repeated events of one new link at most: k ASDUs; what a fragment holds."""
AGAIN_AFTER: Final = {
    "mqtt": ("kill worker", "kill core", "broker", "clock", "device"),
    "influx": ("kill worker", "kill core", "influxdb", "clock"),
    "opcua": ("kill core", "device"),
    "hmi": ("kill core", "device"),
}
"""After which faults something may come again without a new link: the receiver is behind a server of its own, or it is
told the newest alone, and that a value was not good in between passed it by."""
COLUMNS: Final = (
    "lost", "doubled", "out of order", "wrong value", "wrong quality", "wrong time", "not told bad", "not the last",
)  # fmt: skip
BARRED: Final = frozenset(COLUMNS)


def compare(outcome: Outcome) -> Verdict:
    """All books."""
    plan, verdict = outcome.plan, Verdict()
    truth = Truth.read(plan, outcome.faults)
    absent = {words.split(":")[0] for words in outcome.missing}
    for peer in plan.peers:
        if peer.name not in absent:
            row = Judge(outcome, truth, peer, verdict).row()
            verdict.receivers.append(row)
            verdict.findings += [f"{peer.name}: {row[name]} {name}" for name in COLUMNS if row[name]]
    commands(outcome, truth, verdict)
    alarms(outcome, truth, verdict)
    for name, counters in outcome.counters.items():
        if "failed" in counters:
            verdict.findings.append(f"{name} failed: it {counters['failed']}")
    if outcome.exit_code:
        verdict.findings.append(f"the gateway ended with status {outcome.exit_code}")
    return verdict


class Judge:
    """One receiver."""

    def __init__(self, outcome: Outcome, truth: Truth, peer: Peer, verdict: Verdict) -> None:
        self._outcome, self._truth, self._peer, self._verdict = outcome, truth, peer, verdict
        self._database = peer.protocol == "influx"
        self._tolerance_ns = (outcome.plan.scan_ms + 1000) * MILLISECOND
        told = Told.read(
            outcome.plan.ledgers / f"{peer.name}.bin",
            truth,
            self._tolerance_ns,
            counted=peer.protocol != "iec104",
            in_order_of_time=self._database,
        )
        self._told, self._book, self._row = told, told.book, told.row
        self._known = told.row != UNKNOWN
        self._event = self._book["kind"] == EVENT
        self._good = self._book["quality"] == 0
        self._first = self._firsts()
        self._restated = self._restates()
        self._binary = truth.points % outcome.plan.per_device >= outcome.plan.analogs

    def row(self) -> dict[str, Any]:
        """Its line of the table."""
        doubled, repeated = self._again()
        found: dict[str, Any] = {"receiver": self._peer.name, "protocol": self._peer.protocol}
        found |= {"told": int(self._event.sum()), "links": len(self._told.ups), "repeated": repeated}
        counts = (
            self._count("lost", self._lost()),
            self._count("doubled", doubled),
            self._count("out of order", self._order()),
            self._count("wrong value", ~self._known & (self._good | (self._book["time_ns"] > 0))),
            self._count("wrong quality", self._quality()),
            self._count("wrong time", self._time()),
            self._not_told_bad(),
            self._count("not the last", self._last()),
        )
        most = MOST_AGAIN.get(self._peer.protocol, 0) * max(0, len(self._told.ups) - 1)
        if most and repeated > most:
            self._verdict.findings.append(f"{self._peer.name}: {repeated} repeated, at most {most} were unconfirmed")
        if self._told.overflows:
            self._verdict.findings.append(f"{self._peer.name}: was told {self._told.overflows} times of an overflow")
        self._latency()
        return found | dict(zip(COLUMNS, counts, strict=True))

    def _count(self, what: str, bad: NDArray[Any]) -> int:
        """How many, with a few examples; `bad` is a mask of the book, or rows of the plant."""
        mask = bad.dtype == np.bool_
        places = np.flatnonzero(bad) if mask else bad
        for place in places[:5].tolist():
            self._verdict.examples.append(
                f"{self._peer.name}, {what}: " + (self._say(place) if mask else self._made(place))
            )
        return len(places)

    def _say(self, place: int) -> str:
        record = self._book[place]
        name, row = self._outcome.plan.name(int(record["point"])), int(self._row[place])
        began = self._outcome.began_ns
        told = f"{name} = {record['value']:g} quality {record['quality']} kind {record['kind']}"
        told += (
            f" tag {(int(record['time_ns']) - began) / SECOND:.3f} s at {(int(record['at_ns']) - began) / SECOND:.3f} s"
        )
        return told + ("; the plant never made it" if row == UNKNOWN else f"; plant: {self._made(row)}")

    def _made(self, row: int) -> str:
        truth, began = self._truth, self._outcome.began_ns
        point = int(np.searchsorted(truth.start, row, side="right")) - 1
        made, left = (int(truth.made_ns[row]) - began) / SECOND, (int(truth.left_ns[row]) - began) / SECOND
        return f"{self._outcome.plan.name(point)} = {truth.value[row]:g} made {made:.3f} s, read {left:.3f} s"

    def _firsts(self) -> NDArray[np.bool_]:
        """The first good telling of each change as an event."""
        first = np.zeros(len(self._book), np.bool_)
        places = np.flatnonzero(self._known & self._event & self._good)
        first[places[np.unique(self._row[places], return_index=True)[1]]] = True
        return first

    def _own(self) -> NDArray[np.bool_]:
        points = self._truth.points
        return (points >= self._peer.first) & (points < self._peer.first + self._peer.count)

    def _lost(self) -> Numbers:
        """Changes that were read and never told."""
        truth, protocol = self._truth, self._peer.protocol
        due = truth.changes & self._own()
        if protocol in WHILE_LINKED:
            due &= self._told.standing(truth.left_ns - SETTLES_NS, truth.left_ns + SETTLES_NS)
            due &= ~self._near(("kill worker", "kill core", "hold link", "cut upstream", "stop broker"), truth.left_ns)
        elif protocol not in EVERYTHING:
            return np.zeros(0, np.int64)
        if self._database:
            due &= ~(self._binary & self._unclear(truth.left_ns))
        due[self._row[self._known & self._event]] = False
        return np.flatnonzero(due)

    def _restates(self) -> NDArray[np.bool_]:
        """Of a database: what stands, stored once more just behind a time that the gateway had given to a loss, since
        what is newest there must be what stands. No two readings of a point are that near to each other.
        """
        restated = np.zeros(len(self._book), np.bool_)
        if self._database:
            point, tag = self._book["point"], self._book["time_ns"]
            restated[1:] = (np.diff(tag) < RESTATED_NS) & (np.diff(point) == 0) & self._good[1:]
        return restated

    def _unclear(self, times_ns: Numbers) -> NDArray[np.bool_]:
        """Whether a database's binaries that were read then may have been set aside."""
        return self._truth.twice(times_ns, PACE_NS + self._tolerance_ns, CAUGHT_UP_NS + self._tolerance_ns)

    def _again(self) -> tuple[NDArray[np.bool_], int]:
        """Good events of a change that was told already: (doubled, how many repeated after a new link)."""
        places = np.flatnonzero(self._known & self._event)
        places = places[np.argsort(self._book["point"][places], kind="stable")]
        book, row = self._book[places], self._row[places]
        key = np.column_stack([row, book["time_ns"], book["quality"]])
        order = np.lexsort(key.T)
        again = np.zeros(len(places), np.bool_)
        again[order[1:]] = (key[order[1:]] == key[order[:-1]]).all(axis=1)
        before = np.roll(book["quality"], 1)
        same = np.roll(row, 1) == row
        refreshed = same & (before == 0) & (book["quality"] == 0) & ~again
        mask = np.zeros(len(self._book), np.bool_)
        mask[places[again | refreshed]] = True
        excused = mask & (self._told.since_up_ns() < AGAIN_NS)
        if self._peer.protocol in AGAIN_AFTER:
            excused |= mask & self._near(AGAIN_AFTER[self._peer.protocol], self._book["at_ns"])
        excused |= mask & (self._restated | self._told.behind)
        if self._database:  # a loss is stored behind the newest sample, and so behind what the stepped clock said
            times = [at_ns for at_ns, _ in self._truth.steps]
            ahead = within(self._book["at_ns"], [(begin, begin + AHEAD_NS) for begin in times])
            excused |= mask & ahead & self._near(("device",), self._book["at_ns"])
        return mask & ~excused, int(excused.sum())

    def _order(self) -> NDArray[np.bool_]:
        """First tellings that come after a later change of the same point."""
        mask = np.zeros(len(self._book), np.bool_)
        keeps_all = self._peer.protocol in EVERYTHING
        judged = self._first if keeps_all else self._known
        if self._database:  # times that a stepped clock showed have no order
            judged = judged & ~self._truth.twice(self._truth.left_ns[self._row]) & ~self._restated
        places = np.flatnonzero(judged)
        places = places[np.argsort(self._book["point"][places], kind="stable")]
        row = self._row[places]
        highest = np.maximum.accumulate(row) if len(row) else row
        mask[places[row < highest]] = True
        if not keeps_all:
            mask &= self._told.since_up_ns() > AGAIN_NS
        return mask

    def _quality(self) -> NDArray[np.bool_]:
        """Bad without a cause: no fault of the device or the core is near, and it was read all the time."""
        places = np.flatnonzero(self._event & ~self._good)
        at_ns, cause_ns, point = self._book["at_ns"][places], self._cause_ns()[places], self._book["point"][places]
        shaken = ("kill core", "step clock")
        allowed = self._near(shaken, at_ns) | self._near(shaken, cause_ns)
        if self._database:
            allowed |= self._truth.twice(self._book["time_ns"][places])
        each = self._outcome.plan.per_device
        unread = [
            (int(fault.whom.removeprefix("dev")) * each, each, fault.began_ns, fault.ended_ns + AFTERMATH_NS)
            for fault in self._outcome.faults
            if fault.kind.endswith("device") and fault.began_ns
        ]
        gaps = self._outcome.counters.get("plant", {}).get("gaps", ())
        unread += [(first, count, from_ns, to_ns + SETTLES_NS) for first, count, from_ns, to_ns in gaps]
        for first, count, from_ns, to_ns in unread:
            allowed |= (point >= first) & (point < first + count) & (at_ns >= from_ns) & (cause_ns < to_ns)
        mask = np.zeros(len(self._book), np.bool_)
        mask[places[~allowed]] = True
        return mask

    def _cause_ns(self) -> Numbers:
        """When what is told came about: it was as late as the first telling of a change before it on the same link."""
        late = np.zeros(len(self._book), np.int64)
        places = np.flatnonzero(self._first & self._truth.changes[self._row])
        late[places] = np.maximum(self._book["at_ns"][places] - self._truth.left_ns[self._row[places]], 0)
        newest = np.zeros(len(self._book), np.int64)
        newest[places] = places
        found: Numbers = self._book["at_ns"] - late[np.maximum.accumulate(newest)]
        return found

    def _near(self, kinds: Sequence[str], times_ns: Numbers) -> NDArray[np.bool_]:
        """Within a fault of one of these kinds, or soon after it."""
        return within(
            times_ns,
            [
                (fault.began_ns - SETTLES_NS, fault.ended_ns + AFTERMATH_NS)
                for fault in self._outcome.faults
                if fault.began_ns and any(kind in fault.kind for kind in kinds) and _concerns(fault, self._peer)
            ],
        )

    def _time(self) -> NDArray[np.bool_]:
        """Tags outside the time in which it was true and was read."""
        truth, mask = self._truth, np.zeros(len(self._book), np.bool_)
        places = np.flatnonzero(self._first & (self._book["time_ns"] > 0) & truth.changes[self._row])
        row, tag = self._row[places], self._book["time_ns"][places]
        made, left = truth.made_ns[row], truth.left_ns[row]
        latest = left + self._tolerance_ns
        stood = np.minimum(truth.over_ns[row], 1 << 61) + self._tolerance_ns
        latest = np.where(self._near_field(left) | self._near_field(self._book["at_ns"][places]), stood, latest)
        wrong = ~truth.could_be(tag, made - 2 * MILLISECOND, latest)
        stepped = truth.near_step(left)
        mask[places[wrong & ~stepped & ~self._restated[places]]] = True
        return mask

    def _near_field(self, times_ns: Numbers) -> NDArray[np.bool_]:
        return within(
            times_ns,
            [
                (fault.began_ns - 2 * SECOND, fault.ended_ns + AFTERMATH_NS)
                for fault in self._outcome.faults
                if fault.began_ns and fault.kind.endswith(("device", "core"))
            ],
        )

    def _not_told_bad(self) -> int:
        """Points of a device that answered nothing for longer than their greatest age, and were not told bad."""
        if self._peer.protocol not in ("iec104", "dnp3"):
            return 0
        missed, plan = 0, self._outcome.plan
        for fault in self._outcome.faults:
            if not fault.kind.endswith("device") or not fault.began_ns:
                continue
            first = int(fault.whom.removeprefix("dev")) * plan.per_device
            hit = self._event & ~self._good & (self._book["at_ns"] >= fault.began_ns)
            points = np.unique(self._book["point"][hit])
            untold = plan.per_device - int(((points >= first) & (points < first + plan.per_device)).sum())
            if untold:
                self._verdict.examples.append(
                    f"{self._peer.name}, not told bad: {untold} points, {fault.kind} {fault.whom}"
                )
            missed += untold
        return missed

    def _last(self) -> Numbers:
        """Points of which what was told last is not what the plant stands at, or is not good."""
        truth, peer = self._truth, self._peer
        points = np.arange(peer.first, peer.first + peer.count)
        last = np.full(self._outcome.plan.points, UNKNOWN)
        good = np.zeros(self._outcome.plan.points, np.bool_)
        order = np.argsort(self._book["at_ns"], kind="stable") if self._database else np.arange(len(self._book))
        last[self._book["point"][order]] = self._row[order]
        good[self._book["point"][order]] = self._good[order]
        stands = truth.start[points + 1] - 1
        if self._database:
            judged = ~(self._binary[stands] & self._unclear(truth.left_ns[stands]))
            points, stands = points[judged], stands[judged]
        if peer.protocol == "mqtt":  # what never changed was told before anybody had subscribed
            points, stands = points[truth.changes[stands]], stands[truth.changes[stands]]
        return stands[(last[points] != stands) | ~good[points]]

    def _latency(self) -> None:
        if self._peer.protocol != "influx":
            places = np.flatnonzero(self._first)
            places = places[self._truth.changes[self._row[places]]]
            left = self._truth.left_ns[self._row[places]]
            spent = (self._book["at_ns"][places] - left) / MILLISECOND
            self._verdict.latencies[self._peer.name] = (left, spent)


def within(times_ns: Numbers, stretches: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Which of the times lie in one of the stretches, both ends included."""
    begins = np.sort(np.array([begin for begin, _ in stretches], np.int64))
    ends = np.sort(np.array([end for _, end in stretches], np.int64))
    begun, over = np.searchsorted(begins, times_ns, side="right"), np.searchsorted(ends, times_ns, side="left")
    found: NDArray[np.bool_] = begun > over
    return found


def _concerns(fault: Fault, peer: Peer) -> bool:
    """Whether a fault of one link or worker touches this receiver."""
    if fault.kind in ("hold link", "cut link", "cut master"):
        return fault.whom == peer.name
    if fault.kind in ("kill worker", "kill server"):
        worker = {"influx": "historian", "hmi": "hmi"}.get(peer.protocol, peer.protocol)
        return fault.whom.startswith(worker)
    return True
