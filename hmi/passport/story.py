"""From records to rows of a list and to the story of one command, in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.contracts.command import PROGRAM
from gateway.contracts.screen import SCREEN

Record = dict[str, Any]

CHECKS: Final = {
    "point": "the point can be commanded",
    "subject": "there is somebody here who does this",
    "refused": "the server it came through had nothing against it",
    "rights": "who asks has the right to it",
    "operator": "who asks has the right to it",
    "test": "it is not marked as a test",
    "deadline": "it came in time",
    "value": "the value is within the point's range",
    "local": "the site is in remote",
    "blocked": "the point is not blocked",
    "busy": "no other command is writing the point",
    "audit": "the record can be kept",
    "claim": "local control takes it: no interlock, nobody with more right",
    "carried out": "what it asks for is possible now",
}
"""What each check of the broker means when it is passed."""

HOPS: Final = (
    ("received", "received by the server"),
    ("accepted", "accepted by the broker"),
    ("written", "written to the device"),
    ("acknowledged", "acknowledged by the device"),
)
_BY_CONTROL: Final = {
    "written": "taken by local control, which ramps and limits",
    "acknowledged": "the end of the ramp acknowledged by the device",
}
_FINAL: Final = ("completed", "failed", "refused")
_ON_THE_WAY: Final = ("accepted", "written", "acknowledged")
_ORIGIN: Final = re.compile(r"(\S+) ([^/]+)/(.*?)(?: from (.*))?$")
KINDS: Final = ("person", "master", "program", "control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One command, or one thing that control did by itself. Times are ms since 1970 UTC."""

    key: str
    time_ms: float
    time_ns: int
    kind: str
    who: str
    protocol: str = ""
    server: str = ""
    master: str = ""
    peer: str = ""
    what: str
    action: str
    value: float | str | None = None
    outcome: str
    """completed, failed, refused; done: it needed no device; accepted, written, acknowledged: under way."""
    reason: str = ""
    text: str = ""
    took_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One station of a command. `after_ms`: since the one before."""

    name: str
    words: str
    time_ms: float
    after_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of the broker. `passed` False: it refused the command."""

    name: str
    words: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What the feedback point showed last, beside what it was to show."""

    point: str
    value: float | str
    expected: float | str
    quality: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of one command. `select`: the select before it, by the same asker; `answers`: what it heard."""

    row: Row
    comment: str = ""
    pulse: str = ""
    by_control: bool = False
    select: Row | None = None
    checks: Sequence[Check] = ()
    hops: Sequence[Hop] = ()
    read_back: ReadBack | None = None
    answers: Sequence[str] = field(default=())


def key_of(record: Record) -> str:
    """Names a command for ever: when it was received, its number, the server it came through."""
    if record.get("step") == "control":
        return f"{record['time']}-control"
    began = record.get("received") or record["time"]
    return f"{began}-{record.get('command', 0)}-{_by(record)['server']}"


def _by(record: Record) -> dict[str, str]:
    by = record.get("by")
    if isinstance(by, dict):
        return {part: str(by.get(part, "")) for part in ("protocol", "server", "master", "peer")}
    found = _ORIGIN.match(str(record.get("origin", "")))
    parts = found.groups("") if found else ("", "", "", "")
    return dict(zip(("protocol", "server", "master", "peer"), parts, strict=True))


def row_of(record: Record) -> Row:
    """A record as a row of the list; the last record of a command says it all."""
    if record.get("step") == "control":
        return _control_row(record)
    by, step, action = _by(record), str(record.get("step", "")), str(record.get("action", ""))
    outcome = step if step in _FINAL or step in _ON_THE_WAY else "done"
    began = record.get("received") or record.get("accepted")
    ended = outcome not in _ON_THE_WAY and isinstance(began, int)
    return Row(
        key=key_of(record),
        time_ms=record["time"] / 1e6,
        time_ns=record["time"],
        kind=_kind(by),
        who=_who(by),
        **by,
        what=str(record.get("point") or record.get("subject") or ""),
        action=action,
        value=record.get("value"),
        outcome=outcome,
        reason=str(record.get("reason", "")),
        text=str(record.get("text", "")) or str(record.get("comment", "")),
        took_ms=(record["time"] - began) / 1e6 if ended and isinstance(began, int) else None,
    )


def _kind(by: dict[str, str]) -> str:
    if by["protocol"] == PROGRAM:
        return "program"
    return "person" if by["server"] in (SCREEN, "local") else "master"


def _who(by: dict[str, str]) -> str:
    if by["server"] == SCREEN:
        return by["peer"] or by["master"]
    return by["master"] if by["server"] == "local" else f"{by['server']}/{by['master']}"


def _control_row(record: Record) -> Row:
    interlock = record.get("interlock")
    if interlock:
        what, action, text = f"interlock {interlock}", str(record.get("what", "")), str(record.get("text", ""))
    else:
        what, action = f"unit {record.get('unit', '')}", "set-point"
        parts = [f"for {record.get('source', '')}"]
        parts += [f"limited by {record['limited_by']}"] if record.get("limited_by") else []
        parts += [f"blocked by {record['blocked_by']}"] if record.get("blocked_by") else []
        text = ", ".join(parts)
    return Row(
        key=key_of(record),
        time_ms=record["time"] / 1e6,
        time_ns=record["time"],
        kind="control",
        who="local control",
        what=what,
        action=action,
        value=record.get("target_kw"),
        outcome="done",
        text=text,
    )


def latest(records: Iterable[Record]) -> Iterator[Row]:
    """Rows of records that come newest first: of each command the last one alone."""
    seen: set[str] = set()
    for record in records:
        row = row_of(record)
        if row.key not in seen:
            seen.add(row.key)
            yield row


def story_of(key: str, records: Iterable[Record]) -> Story | None:
    """The story of the command `key` from records around it, oldest first; None: it is not among them."""
    around = list(records)
    own = [record for record in around if key_of(record) == key]
    if not own:
        return None
    last = own[-1]
    facts: Record = {}
    for record in own:
        facts |= record
    row = row_of(last)
    return Story(
        row=row,
        comment=str(facts.get("comment", "")),
        pulse=str(facts.get("pulse", "")),
        by_control=bool(facts.get("by_control")),
        select=_select(own[0], around),
        checks=_checks(own, row.outcome == "refused"),
        hops=list(_hops(facts, row)),
        read_back=_read_back(facts.get("read_back")),
        answers=list(_answers(own, row)),
    )


def _select(first: Record, around: Sequence[Record]) -> Row | None:
    """The newest select of the same point by the same asker before it."""
    if first.get("action") != "execute":
        return None
    same = [
        record
        for record in around
        if record.get("action") == "select"
        and record.get("point") == first.get("point")
        and record.get("origin") == first.get("origin")
        and record["time"] <= first["time"]
    ]
    return row_of(same[-1]) if same else None


def _checks(own: Sequence[Record], refused: bool) -> list[Check]:
    names: list[Any] = next((record["checks"] for record in own if isinstance(record.get("checks"), list)), [])
    return [
        Check(name=str(name), words=CHECKS.get(str(name), str(name)), passed=not (refused and at == len(names) - 1))
        for at, name in enumerate(names)
    ]


def _hops(facts: Record, row: Row) -> Iterator[Hop]:
    words = dict(HOPS) | (_BY_CONTROL if facts.get("by_control") else {})
    times = [(name, facts.get(name)) for name, _ in HOPS]
    if row.outcome == "done":
        times = times[:1]
    known = [(name, words[name], at) for name, at in times if isinstance(at, int) and at > 0]
    if row.outcome not in _ON_THE_WAY:
        known.append((row.outcome, _end_words(row), row.time_ns))
    elif not any(name == row.outcome for name, _, _ in known):
        known.append((row.outcome, words[row.outcome], row.time_ns))
    before: int | None = None
    for name, said, at in known:
        yield Hop(name=name, words=said, time_ms=at / 1e6, after_ms=None if before is None else (at - before) / 1e6)
        before = at


def _end_words(row: Row) -> str:
    words = {"completed": "completed: the feedback agreed", "done": "done"}
    return words.get(row.outcome) or f"{row.outcome}: {row.text or row.reason}"


def _read_back(found: Any) -> ReadBack | None:
    if not isinstance(found, dict):
        return None
    return ReadBack(
        point=str(found.get("point", "")),
        value=found.get("value", ""),
        expected=found.get("expected", ""),
        quality=str(found.get("quality", "")),
    )


def _answers(own: Sequence[Record], row: Row) -> Iterator[str]:
    """What whoever asked was told, in the words of the broker; each protocol has its own for them."""
    if row.kind == "control":
        return
    if any(record.get("step") == "accepted" for record in own) or row.outcome == "done":
        yield "accepted"
    if row.outcome == "done":
        yield "completed"
    elif row.outcome in _FINAL:
        yield f"{row.outcome}" + (f" ({row.reason}): {row.text}" if row.reason and row.outcome != "completed" else "")
