"""What happened to alarms: the core's own record of it, page by page and as a file."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field
from starlette.responses import Response

from gateway.alarms.model import AlarmEvent
from gateway.history.rows import iso
from hmi.csvfile import csv_file, csv_text
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Visit
from hmi.recordfiles import Asked, Line, Page, newest
from hmi.refusal import Refusal

_FILE_ROWS: Final = 50_000
_OF_A_PERSON: Final = frozenset(
    {
        *(AlarmEvent.ACKNOWLEDGED, AlarmEvent.CONFIRMED, AlarmEvent.COMMENTED, AlarmEvent.SHELVED),
        *(AlarmEvent.UNSHELVED, AlarmEvent.OUT_OF_SERVICE, AlarmEvent.IN_SERVICE),
    }
)
"""Of the others `by` and `text` tell who did the last thing before."""
_LATEST_MS: Final = 4e12


class HistoryQuery(Body):
    text: str = Field(default="", max_length=200)
    """All of these words in name, message, text or who."""
    alarm: str = Field(default="", max_length=300)
    priority: Literal["", "critical", "high", "medium", "low"] = ""
    event: str = Field(default="", max_length=40)
    start_ms: float = Field(default=0, ge=0, le=_LATEST_MS)
    end_ms: float = Field(default=_LATEST_MS, ge=0, le=_LATEST_MS)
    before: str = Field(default="", pattern=r"^[0-9]{0,19}$")
    """What the page before said."""
    limit: int = Field(default=200, ge=1, le=1_000)


class Happened(Answer):
    """One event of an alarm as it was recorded."""

    alarm: str
    priority: str = ""
    message: str = ""
    state: str = ""
    event: str = ""
    value: float | None = None
    unit: str = ""
    quality: str = ""
    seq: str = ""
    time_ms: float = 0.0
    by: str = ""
    text: str = ""


class History(Answer):
    """Newest first. `before`: ask again with it for what is older; null: there is no more."""

    events: list[Happened]
    before: str | None


def _asked(desk: Desk, query: HistoryQuery, limit: int) -> Asked:
    words = query.text.lower().split()

    def keep(line: Line) -> bool:
        if (query.alarm and line.get("alarm") != query.alarm) or (query.event and line.get("event") != query.event):
            return False
        if query.priority and line.get("priority") != query.priority:
            return False
        if not words:
            return True
        text = " ".join(str(line.get(key, "")) for key in ("alarm", "message", *_whose(line))).lower()
        return all(word in text for word in words)

    return Asked(
        folder=desk.site.state_dir / "alarms",
        key="seq",
        start_ns=int(query.start_ms * 1e6),
        end_ns=int(query.end_ms * 1e6),
        limit=limit,
        before=int(query.before) if query.before else 1 << 63,
        keep=keep,
    )


async def _read(desk: Desk, asked: Asked) -> Page:
    try:
        page: Page = await desk.on_disk(newest, asked)
    except OSError as error:
        raise Refusal(503, f"the alarm history cannot be read: {error.strerror}") from None
    return page


def _whose(line: Line) -> tuple[str, ...]:
    return ("by", "text") if line.get("event") in _OF_A_PERSON else ()


def _happened(line: Line) -> Happened:
    keys = (Happened.model_fields.keys() - {"by", "text"}) | {*_whose(line)}
    facts: dict[str, Any] = {key: line[key] for key in keys if isinstance(line.get(key), str | int | float)}
    return Happened(**facts | {"time_ms": line["time_ns"] / 1e6, "seq": str(line["seq"])})


async def _history(visit: Visit) -> History:
    page = await _read(visit.desk, _asked(visit.desk, visit.query, visit.query.limit))
    return History(
        events=[_happened(line) for line in page.lines], before=None if page.before is None else str(page.before)
    )


_COLUMNS: Final = ("time", "alarm", "priority", "message", "event", "state", "value", "unit", "quality", "by", "text")


async def _history_file(visit: Visit) -> Response:
    page = await _read(visit.desk, _asked(visit.desk, visit.query, _FILE_ROWS))
    rows = [[iso(line["time_ns"]), *(getattr(_happened(line), key) for key in _COLUMNS[1:])] for line in page.lines]
    if page.before is not None:
        rows.append(["", f"cut here: there is more in this range than {len(rows)} rows"])
    return csv_file("alarm-history", csv_text(_COLUMNS, rows))


ENDPOINTS: Final = [
    Endpoint(
        method="GET",
        path="/api/alarms/history",
        handler=_history,
        query=HistoryQuery,
        answer=History,
        tag="alarms",
        summary="What happened to alarms, newest first, page by page.",
        responses={503: "the history cannot be read"},
    ),
    Endpoint(
        method="GET",
        path="/api/alarms/history/file",
        handler=_history_file,
        query=HistoryQuery,
        media="text/csv",
        tag="alarms",
        summary="The history as CSV, 50,000 rows at most.",
        responses={503: "the history cannot be read"},
    ),
]
