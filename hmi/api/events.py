"""What happened in the plant (sequence of events) and what people did (audit), newest first."""

from __future__ import annotations

import contextlib
from typing import Any, Final, Literal

from pydantic import Field
from starlette.responses import Response

from gateway.history.archive import Archive
from gateway.history.compression import BlockError
from gateway.history.rows import iso
from gateway.history.sqlitefile import DamagedHistory
from hmi.csvfile import csv_file, csv_text
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.eventnews import begin, heard_of, state_words
from hmi.recordfiles import SCANNED_LINES, Asked, Line, newest
from hmi.refusal import Refusal

_FILE_ROWS: Final = 50_000
_LATEST_MS: Final = 4e12
_LAST: Final = (1 << 63) - 1
_NO_HISTORY: Final = "this site records no history (section history: of site.yaml): events since the HMI began alone"


class EventQuery(Body):
    kind: Literal["soe", "action"] = "soe"
    """`soe`: changes of the plant's states; `action`: what people and masters did."""
    text: str = Field(default="", max_length=200)
    """All of these words."""
    point: str = Field(default="", max_length=300)
    """This point alone; with ``*`` at its end all that begin so."""
    start_ms: float = Field(default=0, ge=0, le=_LATEST_MS)
    end_ms: float = Field(default=_LATEST_MS, ge=0, le=_LATEST_MS)
    before: str = Field(default="", pattern=r"^([0-9]{1,19}(\.[0-9]{1,9})?)?$")
    """What the page before said."""
    limit: int = Field(default=200, ge=1, le=1_000)


class Happened(Answer):
    """One event. `state`: the new state in words; of an action its step and result; `who` of an action."""

    time_ms: float
    kind: str
    point: str
    description: str
    state: str
    quality: str
    time_valid: bool
    """Whether the source's time can be trusted."""
    who: str = ""
    text: str = ""


class Events(Answer):
    """Newest first. `before`: ask again with it for what is older; null: there is no more."""

    events: list[Happened]
    before: str | None
    note: str = ""


def soe(desk: Desk, line: Line) -> Happened:
    """A change of a binary or double point."""
    name = str(line.get("point", ""))
    row, quality = desk.catalogue.rows.get(name), str(line.get("quality", ""))
    value = line.get("value")
    return Happened(
        time_ms=line["time_ns"] / 1e6,
        kind="soe",
        point=name,
        description="" if row is None else desk.catalogue.descriptions[row],
        state=state_words(desk.catalogue, row, float(value) if isinstance(value, int | float) else float("nan")),
        quality=quality,
        time_valid="time invalid" not in quality,
    )


def _action(desk: Desk, line: Line) -> Happened:
    """A line of an audit file: a command's step, or what somebody did at a page."""
    about = str(line.get("point") or line.get("subject") or line.get("call") or line.get("about") or "")
    row = desk.catalogue.rows.get(about)
    doing = " ".join(str(line[key]) for key in ("action", "step", "outcome", "reason") if line.get(key))
    known = {"time_ns", "time", "point", "subject", "call", "about", "action", "step", "outcome", "reason"}
    known |= {"origin", "user", "peer", "role", "received", "command", "pulse"}
    rest = " ".join(f"{key} {value}" for key, value in line.items() if key not in known and value not in (None, ""))
    who = line.get("origin") or " from ".join(str(line[key]) for key in ("user", "peer") if line.get(key))
    return Happened(
        time_ms=line["time_ns"] / 1e6,
        kind="action",
        point=about,
        description="" if row is None else desk.catalogue.descriptions[row],
        state=doing,
        quality="",
        time_valid=True,
        who=str(who),
        text=rest,
    )


_SHOWN: Final = {"soe": soe, "action": _action}


def _fits(query: EventQuery, event: Happened) -> bool:
    if query.point:
        begun = query.point.endswith("*")
        if not (event.point.startswith(query.point[:-1]) if begun else event.point == query.point):
            return False
    text = f"{event.point} {event.description} {event.state} {event.quality} {event.who} {event.text}".lower()
    return all(word in text for word in query.text.lower().split())


def _read(desk: Desk, query: EventQuery, limit: int) -> Events:
    """On the disk's thread."""
    span = int(query.start_ms * 1e6), int(query.end_ms * 1e6)
    if query.kind == "action":
        return _actions(desk, query, limit, span)
    if desk.history_folder is None:
        lines = [line for line in heard_of(desk) if span[0] <= line["time_ns"] < span[1]]
        events = [event for line in reversed(lines) if _fits(query, event := soe(desk, line))]
        return Events(events=events[:limit], before=None, note=_NO_HISTORY)
    return _archived(desk, query, limit, span)


def _actions(desk: Desk, query: EventQuery, limit: int, span: tuple[int, int]) -> Events:
    page = newest(
        Asked(
            folder=desk.site.state_dir / "audit",
            key="time",
            start_ns=span[0],
            end_ns=span[1],
            limit=limit,
            before=int(query.before.partition(".")[0]) if query.before else 1 << 63,
            keep=lambda line: _fits(query, _action(desk, line)),
        )
    )
    before = None if page.before is None else str(page.before)
    return Events(events=[_action(desk, line) for line in page.lines], before=before)


def _archived(desk: Desk, query: EventQuery, limit: int, span: tuple[int, int]) -> Events:
    number, _, at = query.before.partition(".")
    found, looked, place = list[Happened](), 0, (min(int(number), _LAST), int(at or 0)) if number else None
    try:
        archive = Archive(desk.history_folder, read_only=True)  # type: ignore[arg-type]
    except FileNotFoundError:
        return Events(events=[], before=None, note="nothing has been recorded yet")
    with contextlib.closing(archive):
        for here, line in archive.newest("soe", *span, place):
            if len(found) >= limit or looked >= SCANNED_LINES:
                return Events(events=found, before=f"{place[0]}.{place[1]}" if place else None)
            looked, place = looked + 1, here
            event = soe(desk, line)
            if _fits(query, event):
                found.append(event)
    return Events(events=found, before=None)


async def _page(desk: Desk, query: EventQuery, limit: int) -> Events:
    try:
        page: Events = await desk.on_disk(_read, desk, query, limit)
    except (DamagedHistory, BlockError, OSError) as error:
        raise Refusal(503, f"the record cannot be read: {error}") from None
    return page


async def _events(visit: Visit) -> Events:
    return await _page(visit.desk, visit.query, visit.query.limit)


_COLUMNS: Final = ("time", "kind", "point", "description", "state", "quality", "time_valid", "who", "text")


async def _file(visit: Visit) -> Response:
    page = await _page(visit.desk, visit.query, _FILE_ROWS)
    rows: list[list[Any]] = [
        [iso(int(event.time_ms * 1e6)), *(getattr(event, key) for key in _COLUMNS[1:])] for event in page.events
    ]
    if page.before is not None:
        rows.append(["", "", f"cut here: there is more in this range than {len(rows)} rows"])
    return csv_file(f"events-{visit.query.kind}", csv_text(_COLUMNS, rows))


_TROUBLES: Final = {503: "the record cannot be read"}
TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/events",
            handler=_events,
            query=EventQuery,
            answer=Events,
            tag="events",
            summary="The sequence of events, or what people and masters did, newest first, page by page.",
            responses=_TROUBLES,
        ),
        Endpoint(
            method="GET",
            path="/api/events/file",
            handler=_file,
            query=EventQuery,
            media="text/csv",
            tag="events",
            summary="The same as CSV, 50,000 rows at most.",
            responses=_TROUBLES,
        ),
    ],
    begin=lambda desk: begin(desk, lambda line: soe(desk, line).model_dump()),
)
