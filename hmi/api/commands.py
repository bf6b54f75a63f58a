"""The command passport: every command that was given, and each one's story."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from starlette.responses import Response

from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.passport.files import Budget, around, backwards
from hmi.passport.story import Row, Story, latest, row_of, story_of
from hmi.refusal import Refusal

_LIST_BYTES: Final = 24 << 20
_STORY_BYTES: Final = 16 << 20
_SELECT_BEFORE_NS: Final = 120 * 10**9
_STORY_NS: Final = 600 * 10**9
_LONGEST_KEY: Final = 200
_CSV_ROWS: Final = 20_000
_COLUMNS: Final = (
    *("time", "kind", "who", "protocol", "server", "master", "peer", "what", "action", "value"),
    *("outcome", "reason", "text", "took_ms", "key"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Text = Annotated[str, Field(max_length=200)]
Kind = Literal["", "person", "master", "program", "control"]
Outcome = Literal["", "completed", "failed", "refused", "done", "accepted"]


class Filter(Body):
    """Which commands. Texts are parts of what they look for; times are ms since 1970 UTC."""

    since_ms: Annotated[float, Field(ge=0, le=1e14)] = 0
    before: Annotated[str, Field(pattern=r"^[0-9]{0,19}$")] = ""
    """Older than this, ns since 1970 UTC (`next` of the page before); empty: from now on backwards."""
    what: Text = ""
    kind: Kind = ""
    origin: Text = ""
    outcome: Outcome = ""
    who: Text = ""


class PageOf(Filter):
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class CommandPage(Answer):
    """`next`: for the page after; empty: there is none. `cut`: the search ended before it was through, go on there."""

    commands: list[Row]
    next: str
    cut: bool


async def _list(visit: Visit) -> CommandPage:
    asked: PageOf = visit.query
    return await visit.desk.on_disk(_page, _folder(visit.desk), asked, asked.limit)


def _folder(desk: Desk) -> Path:
    return desk.site.state_dir / "audit"


def _page(folder: Path, asked: Filter, limit: int) -> CommandPage:
    budget = Budget(_LIST_BYTES)
    before = int(asked.before) if asked.before else time.time_ns() + 10**9
    rows: list[Row] = []
    last = 0
    for row in latest(backwards(folder, before, int(asked.since_ms * 1e6), budget)):
        last = row.time_ns
        if _fits(row, asked):
            rows.append(row)
        if len(rows) == limit:
            return CommandPage(commands=rows, next=str(last), cut=False)
    return CommandPage(commands=rows, next=str(last) if budget.spent and last else "", cut=budget.spent)


def _fits(row: Row, asked: Filter) -> bool:
    def holds(part: str, *texts: str) -> bool:
        return not part or any(part.lower() in text.lower() for text in texts)

    return (
        (not asked.kind or row.kind == asked.kind)
        and (not asked.outcome or row.outcome == asked.outcome)
        and holds(asked.what, row.what, row.action)
        and holds(asked.origin, row.protocol, row.server, row.master, row.peer)
        and holds(asked.who, row.who, row.peer, row.master)
    )


async def _story(visit: Visit) -> Story:
    key = visit.path["key"]
    began, _, rest = key.partition("-")
    if not (began.isdecimal() and len(began) < 20 and rest and len(key) <= _LONGEST_KEY):
        raise Refusal(404, "there is no such command")
    story = await visit.desk.on_disk(_find, _folder(visit.desk), key, int(began))
    if story is None:
        raise Refusal(404, "there is no such command in the audit")
    return story


def _find(folder: Path, key: str, began_ns: int) -> Story | None:
    budget = Budget(_STORY_BYTES)
    return story_of(key, around(folder, began_ns - _SELECT_BEFORE_NS, began_ns + _STORY_NS, budget))


async def _csv(visit: Visit) -> Response:
    asked: Filter = visit.query
    page: CommandPage = await visit.desk.on_disk(_page, _folder(visit.desk), asked, _CSV_ROWS)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for row in page.commands:
        writer.writerow([_cell(value) for value in _values(row)])
    if page.next:
        writer.writerow([f"cut: older ones follow (before={page.next})"])
    name = time.strftime("commands-%Y%m%d-%H%M%S.csv", time.gmtime())
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _values(row: Row) -> list[Any]:
    facts = asdict(row)
    at = time.gmtime(row.time_ns // 10**9)
    facts["time"] = time.strftime("%Y-%m-%dT%H:%M:%S", at) + f".{row.time_ns // 10**6 % 1000:03d}Z"
    return [facts[column] for column in _COLUMNS]


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is quoted: some of it comes from peers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _begin(desk: Desk) -> None:
    def tell(record: dict[str, Any]) -> None:
        if desk.stream.listened("commands"):
            step = record.get("step")
            desk.stream.tell("commands", command=asdict(row_of(record)), step=step)

    desk.on_records.append(tell)


TOPIC: Final = Topic(
    begin=_begin,
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/commands",
            handler=_list,
            query=PageOf,
            answer=CommandPage,
            tag="commands",
            summary="Commands that were given and what control did by itself, newest first.",
        ),
        Endpoint(
            method="GET",
            path="/api/commands.csv",
            handler=_csv,
            query=Filter,
            media="text/csv",
            tag="commands",
            summary="The same as a table, at most 20,000 rows.",
        ),
        Endpoint(
            method="GET",
            path="/api/commands/{key}",
            handler=_story,
            answer=Story,
            tag="commands",
            summary="The story of one command: who, checks, hops with their times, read-back, refusal.",
            responses={404: "there is no such command"},
        ),
    ],
)
