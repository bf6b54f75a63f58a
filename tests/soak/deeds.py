"""What was done and what was raised, against the plant's book: the commands of every commander, and the alarms."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.soak.books import MILLISECOND, Numbers, Truth
from tests.soak.plan import EXCURSION
from tests.soak.run import Outcome
from tests.soak.verdict import Verdict


def commands(outcome: Outcome, truth: Truth, verdict: Verdict) -> None:
    """Each commander's answers against what the plant executed."""
    executed = Counter((int(write["point"]), int(write["value"])) for write in truth.writes)
    asked: set[tuple[int, int]] = set()
    for peer in outcome.plan.peers:
        path = outcome.plan.ledgers / f"{peer.name}.commands.jsonl"
        if not peer.commander or not path.exists():
            continue
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        asked |= {(line["point"], line["value"]) for line in lines}
        row = _answers(peer.name, lines, executed, verdict)
        verdict.commands.append(row)
        verdict.latencies[f"{peer.name} commands"] = _spent(lines)
    strange = [key for key in executed if key not in asked]
    verdict.examples += [f"executed and nobody's: set-point {point} = {value}" for point, value in strange[:5]]
    if strange:
        verdict.findings.append(f"{len(strange)} commands were executed that nobody gave")


def _answers(
    name: str, lines: Sequence[dict[str, Any]], executed: Counter[tuple[int, int]], verdict: Verdict
) -> dict[str, Any]:
    count = Counter(line["answer"] for line in lines)
    rules: dict[str, Callable[[dict[str, Any], int], bool]] = {
        "confirmed, not executed": lambda line, times: line["answer"] == "confirmed" and not times,
        "refused, executed": lambda line, times: line["answer"] == "refused" and times > 0,
        "executed twice": lambda line, times: times > 1,
        "must be refused, executed": lambda line, times: _refusable(line) and times > 0,
        "must be refused, confirmed": lambda line, times: _refusable(line) and line["answer"] == "confirmed",
    }  # fmt: skip
    row: dict[str, Any] = {"commander": name, "given": len(lines)}
    row |= {answer: count[answer] for answer in ("confirmed", "refused", "unknown")}
    row["good, refused"] = sum(line.get("sort") == "good" and line["answer"] == "refused" for line in lines)
    for title, broken in rules.items():
        bad = [line for line in lines if broken(line, executed[line["point"], line["value"]])]
        row[title] = len(bad)
        verdict.examples += [f"{name}, {title}: {json.dumps(line)}" for line in bad[:5]]
        if bad:
            verdict.findings.append(f"{name}: {len(bad)} commands {title}")
    return row


def _refusable(line: dict[str, Any]) -> bool:
    """Made to be refused."""
    return bool(line.get("sort", "good") != "good")


def _spent(lines: Sequence[dict[str, Any]]) -> tuple[Numbers, NDArray[np.float64]]:
    done = [line for line in lines if line["answer"] == "confirmed"]
    sent = np.array([line["sent_ns"] for line in done], np.int64)
    return sent, (np.array([line["answered_ns"] for line in done], np.int64) - sent) / MILLISECOND


def alarms(outcome: Outcome, truth: Truth, verdict: Verdict) -> None:
    """Every excursion that was read is one raise, every return one return."""
    told = list(_alarm_lines(Path(outcome.plan.folder) / "alarms.jsonl"))
    kinds = {"raised": 0, "returned": 1}
    expected, missed, extra = Counter[str](), 0, 0
    for point in filter(outcome.plan.alarmed, range(outcome.plan.points)):
        rows = np.arange(truth.start[point], truth.start[point + 1])
        rows = rows[truth.left_ns[rows] > 0]
        beyond = truth.value[rows] >= EXCURSION
        edges = np.flatnonzero(beyond[1:] != beyond[:-1]) + 1
        made = ["raised" if beyond[edge] else "returned" for edge in edges.tolist()]
        name = f"{outcome.plan.name(point)}/h"
        heard = [line["event"] for line in told if line["alarm"] == name and line["event"] in kinds]
        expected.update(made)
        if heard != made:
            missed += max(0, len(made) - len(heard))
            extra += max(0, len(heard) - len(made)) or (len(heard) == len(made))
            verdict.examples.append(f"alarm {name}: the plant made {made}, the journal has {heard}")
    row = {"excursions": expected["raised"], "returns": expected["returned"], "missed": missed, "too many": extra}
    verdict.alarms.append(row)
    if missed or extra:
        verdict.findings.append(f"alarms: {missed} missed, {extra} too many or out of order")


def _alarm_lines(path: Path) -> Iterator[dict[str, Any]]:
    """A line cut short by a full disk is left out, as the gateway leaves it out: it is written again."""
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            yield json.loads(line)
