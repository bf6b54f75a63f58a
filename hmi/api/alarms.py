"""Alarms by ISA-18.2: what stands, what a person does to them, what was."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from starlette.responses import Response

from gateway.contracts.command import Action, Stage
from gateway.contracts.places import nearest
from gateway.history.rows import iso
from gateway.users.roles import Role
from hmi.alarmlist import AlarmFacts
from hmi.alarmnews import alarms_of, begin
from hmi.api import alarmhistory
from hmi.csvfile import csv_file, csv_text
from hmi.endpoint import Answer, Body, Endpoint, Handler, Topic, Visit
from hmi.refusal import Refusal

_AT_ONCE: Final = 200

_Name = Annotated[str, Field(min_length=1, max_length=300)]
_Word = Literal["", "critical", "high", "medium", "low"]


class Names(Body):
    alarms: list[_Name] = Field(min_length=1, max_length=_AT_ONCE)
    comment: str = Field(default="", max_length=1_000)


class Reasoned(Body):
    alarms: list[_Name] = Field(min_length=1, max_length=_AT_ONCE)
    reason: str = Field(min_length=1, max_length=1_000)


class Shelving(Reasoned):
    duration_s: float = Field(ge=0, le=366 * 86_400)
    """0: until it returns, as long as the site allows at most."""


class Comment(Body):
    alarms: list[_Name] = Field(min_length=1, max_length=_AT_ONCE)
    comment: str = Field(min_length=1, max_length=1_000)


class Refused(Answer):
    alarm: str
    text: str


class Acted(Answer):
    """What was done, and what was refused in the broker's words. When all was refused the answer is 409."""

    done: list[str]
    refused: list[Refused]


class Rules(Answer):
    confirm: bool
    shelve_max_s: float
    flood_count: int
    flood_window_s: float
    chatter_count: int
    chatter_window_s: float
    standing_s: float
    alarms: int
    groups: list[str]
    areas: list[str]
    flood: str
    """Name of the point that says whether there is a flood; empty: there is none."""


class ListQuery(Body):
    text: str = Field(default="", max_length=200)
    priority: _Word = ""
    everything: bool = False
    """Alarms that are normal too."""
    offset: int = Field(default=0, ge=0, le=1_000_000)
    limit: int = Field(default=500, ge=1, le=2_000)


class Alarms(Answer):
    total: int
    alarms: list[AlarmFacts]


# -- what stands ---------------------------------------------------------------------------------------------------


async def _standing(visit: Visit) -> Alarms:
    query: ListQuery = visit.query
    alarms, words = alarms_of(visit.desk), query.text.lower().split()
    indices = list(range(len(alarms.catalogue))) if query.everything else alarms.standing()
    fitting = []
    for index in indices:
        if query.priority and alarms.catalogue.priority_of(index).word != query.priority:
            continue
        if words:
            text = f"{alarms.catalogue.name(index)} {alarms.catalogue.message(index)}".lower()
            if not all(word in text for word in words):
                continue
        fitting.append(index)
    cut = fitting[query.offset : query.offset + query.limit]
    return Alarms(total=len(fitting), alarms=[alarms.facts(index) for index in cut])


async def _rules(visit: Visit) -> Rules:
    desk, catalogue = visit.desk, alarms_of(visit.desk).catalogue
    rules, system = catalogue.rules, desk.site.alarm_system
    names = [catalogue.points.names[row] for row in dict.fromkeys(catalogue.row.tolist())]
    flood = -1 if system is None else system.summary.get("flood", -1)
    return Rules(
        confirm=rules.confirm,
        shelve_max_s=rules.shelve_max_s,
        flood_count=rules.flood_count,
        flood_window_s=rules.flood_window_s,
        chatter_count=rules.chatter_count,
        chatter_window_s=rules.chatter_window_s,
        standing_s=rules.standing_s,
        alarms=len(catalogue),
        groups=catalogue.groups,
        areas=sorted({name.partition("/")[0] for name in names}),
        flood=desk.catalogue.names[flood] if flood >= 0 else "",
    )


# -- what a person does --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deed:
    """One of the actions: what it takes, and who may."""

    path: str
    action: Action
    body: type[Body]
    summary: str
    right: Role = Role.OPERATOR


_DEEDS: Final = (
    _Deed(path="acknowledge", action=Action.ACKNOWLEDGE, body=Names, summary="Acknowledge the alarms named."),
    _Deed(
        path="confirm", action=Action.CONFIRM, body=Names, summary="Confirm acknowledged alarms, where sites want it."
    ),
    _Deed(path="comment", action=Action.COMMENT, body=Comment, summary="Comment on alarms."),
    _Deed(path="shelve", action=Action.SHELVE, body=Shelving, summary="Keep alarms out of sight for a time."),
    _Deed(path="unshelve", action=Action.UNSHELVE, body=Names, summary="Bring shelved alarms back."),
    _Deed(
        path="out-of-service",
        action=Action.OUT_OF_SERVICE,
        body=Reasoned,
        summary="Keep alarms out of sight until they are taken back into service.",
        right=Role.ENGINEER,
    ),
    _Deed(
        path="in-service",
        action=Action.IN_SERVICE,
        body=Names,
        summary="Take alarms back into service.",
        right=Role.ENGINEER,
    ),
)


def _handler(deed: _Deed) -> Handler:
    async def act(visit: Visit) -> Acted:
        catalogue, body = alarms_of(visit.desk).catalogue, visit.body
        names = list(dict.fromkeys(body.alarms))
        for name in names:
            if catalogue.find(name) is None:
                raise Refusal(404, f"there is no alarm {name}{nearest(name, catalogue.names())}")
        text = getattr(body, "reason", "") or getattr(body, "comment", "")
        value = getattr(body, "duration_s", 0.0)
        asked = (visit.desk.command(visit.person, deed.action, value=value, subject=n, text=text) for n in names)
        outcomes = list(zip(names, await asyncio.gather(*asked), strict=True))
        done = [name for name, outcome in outcomes if outcome.stage is Stage.COMPLETED]
        refused = [
            Refused(alarm=name, text=outcome.text or str(outcome.reason))
            for name, outcome in outcomes
            if outcome.stage is not Stage.COMPLETED
        ]
        if not done:
            raise Refusal(409, refused[0].text, tuple(f"{each.alarm}: {each.text}" for each in refused[:50]))
        return Acted(done=done, refused=refused)

    return act


async def _standing_file(visit: Visit) -> Response:
    alarms = alarms_of(visit.desk)
    columns = [key for key in AlarmFacts.model_fields if key not in ("seq", "hidden")]
    rows = []
    for index in alarms.standing():
        facts = alarms.facts(index).model_dump()
        rows.append([_dated(key, facts[key]) for key in columns])
    return csv_file("alarms", csv_text([key.removesuffix("_ms") for key in columns], rows))


def _dated(key: str, value: Any) -> Any:
    return (iso(int(value * 1e6)) if value else "") if key.endswith("_ms") else value


_UNREADABLE: Final = {409: "the page knows other alarms"}
TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/alarms",
            handler=_standing,
            query=ListQuery,
            answer=Alarms,
            tag="alarms",
            summary="Alarms that are not normal, the most urgent first; or every alarm of the site.",
            responses=_UNREADABLE,
        ),
        Endpoint(
            method="GET",
            path="/api/alarms/rules",
            handler=_rules,
            answer=Rules,
            tag="alarms",
            summary="What holds for all alarms of the site.",
            responses=_UNREADABLE,
        ),
        Endpoint(
            method="GET",
            path="/api/alarms/file",
            handler=_standing_file,
            media="text/csv",
            tag="alarms",
            summary="Alarms that are not normal as CSV.",
            responses=_UNREADABLE,
        ),
        *alarmhistory.ENDPOINTS,
        *(
            Endpoint(
                method="POST",
                path=f"/api/alarms/{deed.path}",
                handler=_handler(deed),
                right=deed.right,
                body=deed.body,
                answer=Acted,
                tag="alarms",
                summary=deed.summary,
                responses={404: "an alarm is not known", 409: "all was refused, in the broker's words"},
            )
            for deed in _DEEDS
        ),
    ],
    begin=begin,
)
