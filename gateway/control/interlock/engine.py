"""The interlocks of a site, cycle by cycle: causes, delays, latches, first-out, bypass, reset. Pure.

::

    conditions ─► vote ─► on-delay ─► active ─┬─► in force ─► effects
                                      latch ──┘     ▲
                                                    └ not bypassed
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.control.controller import PriorityClass, Request
from gateway.control.image import Image
from gateway.control.interlock.effect import Effect, EffectKind
from gateway.control.interlock.plan import BUILT_IN, Interlock, OnBad, Reset
from gateway.control.interlock.state import Bypass, InterlockState

_BAD: Final = {OnBad.TRIP: True, OnBad.QUALITY_OK: False}
NO_UNIT: Final = -1


@dataclass(frozen=True, slots=True)
class InterlockEvent:
    """Something a person wants to know: `what` is a word for the log (`tripped`, `cleared`, `reset`, ...)."""

    name: str
    what: str
    text: str = ""


class Refused(Exception):
    """A reset or bypass that is not allowed now. The text says why."""


class InterlockEngine:
    """State between cycles. `rated_kw` by unit; `grace_ns` is how long unreported inputs do not count as bad."""

    def __init__(self, rows: Sequence[Interlock], rated_kw: Sequence[float], start_ns: int, grace_ns: int) -> None:
        self.rows = rows
        self.states = [InterlockState() for _ in rows]
        self.index = {row.name: i for i, row in enumerate(rows)}
        self.first_out: list[int | None] = [None] * len(rated_kw)
        self._rated_kw = rated_kw
        self._grace_end_ns = start_ns + grace_ns
        self._units = [row.units for row in rows]
        self._trips = [row.trips for row in rows]
        self._in_force: list[bool] = [False] * len(rows)
        self._forced: list[int] = []
        self._asked: dict[int, list[Request]] | None = None
        self.anyone_waits = False
        """Whether `waiting` has anything to say of any unit."""
        self._causes: dict[int, str] = {}
        self._open: set[int] = set(range(len(rows)))
        self._readers: dict[int, list[int]] | None = None
        self.looked_at: list[int] = []
        """Rows of the last step whose state may have changed: all else stands as it stood."""
        self.changed = False
        """Whether something that must survive has changed; whoever writes it down sets it back."""

    @property
    def inputs(self) -> Iterable[int]:
        """Table rows that the conditions read."""
        return (row for interlock in self.rows for condition in interlock.conditions for row in condition.rows)

    # -- one cycle ---------------------------------------------------------------------------------------------------

    def step(self, image: Image) -> list[InterlockEvent]:
        """Look at every cause with a new input, a delay that runs, or a person's touch; returns what has changed."""
        events: list[InterlockEvent] = []
        due, self._open = self._due(image), set()
        for i in due:
            row, state = self.rows[i], self.states[i]
            self._end_bypass(row, state, image.wall_ns, events)
            if row.conditions:
                self._cause(row, state, image)
            elif i in self._causes:
                self._latch(row, state, image.wall_ns, self._causes.pop(i))
            if row.latch and state.active and not state.latched and state.bypass is None:
                self._latch(row, state, image.wall_ns, "")
            self._follow(i, row, state, events)
            if state.waiting or state.bypass is not None or (state.since_ns is not None and not state.active):
                self._open.add(i)
        if events:
            self._forced = [i for i, active in enumerate(self._in_force) if active]
            self._asked = None
            due = sorted({*due, *self._mark_first_out()})
        self.anyone_waits = any(self.states[i].waiting for i in self._open)
        self.looked_at = due
        return events

    def look_again(self) -> None:
        """Look at every row in the next step, whatever its inputs."""
        self._open = set(range(len(self.rows)))

    def _due(self, image: Image) -> list[int]:
        if self._readers is None:
            self._readers = {}
            for i, row in enumerate(self.rows):
                for at in {image.slots[point] for condition in row.conditions for point in condition.rows}:
                    self._readers.setdefault(at, []).append(i)
        readers, due = self._readers, self._open | self._causes.keys()
        for slot in image.changed:
            if slot in readers:
                due.update(readers[slot])
        return sorted(due)

    def _cause(self, row: Interlock, state: InterlockState, image: Image) -> None:
        answer = row.vote.count([condition.look(image) for condition in row.conditions])
        state.waiting = False
        if answer is None and image.now_ns < self._grace_end_ns:
            state.waiting = any(condition.unreported(image) for condition in row.conditions)
        if answer is None:
            answer = False if state.waiting else _BAD.get(row.on_bad, state.raw)
        state.raw = answer
        if not answer:
            state.since_ns, state.active = None, False
            return
        if state.since_ns is None:
            state.since_ns = image.now_ns
        state.active = image.now_ns - state.since_ns >= row.delay_ns

    def _latch(self, row: Interlock, state: InterlockState, wall_ns: int, cause: str) -> None:
        state.latched, state.acknowledged, state.latched_ns, state.cause = True, False, wall_ns, cause
        self.changed = True

    def _end_bypass(self, row: Interlock, state: InterlockState, wall_ns: int, events: list[InterlockEvent]) -> None:
        if state.bypass is not None and wall_ns >= state.bypass.until_ns:
            events.append(InterlockEvent(row.name, "bypass ended", f"of {state.bypass.owner}: its time is over"))
            state.bypass = None
            self.changed = True

    def _follow(self, i: int, row: Interlock, state: InterlockState, events: list[InterlockEvent]) -> None:
        now = state.in_force and not row.permissive
        if now != self._in_force[i]:
            self._in_force[i] = now
            text = "; ".join(filter(None, (row.message, state.cause)))
            events.append(InterlockEvent(row.name, "tripped" if now else "cleared", text))

    def _mark_first_out(self) -> list[int]:
        """Rows whose mark has come or gone."""
        moved: list[int] = []
        for unit, first in enumerate(self.first_out):
            tripped = [i for i in self._forced if unit in self._trips[i]]
            now = None if not tripped else tripped[0] if first is None else first
            if now != first:
                self.first_out[unit] = now
                self.changed = True
                moved += [i for i in (first, now) if i is not None]
        return moved

    # -- what follows ------------------------------------------------------------------------------------------------

    def asked(self) -> dict[int, list[Request]]:
        """`requests` by unit: the same lists until another interlock comes into force or goes."""
        if self._asked is None:
            self._asked = {}
            for request in self.requests():
                self._asked.setdefault(request.unit, []).append(request)
        return self._asked

    def requests(self) -> list[Request]:
        """What the interlocks in force ask of the units."""
        return [
            self._request(self.rows[i], effect)
            for i in self._forced
            for effect in self.rows[i].effects
            if effect.unit >= 0
        ]

    def _request(self, row: Interlock, effect: Effect) -> Request:
        unit, safety = effect.unit, PriorityClass.SAFETY
        match effect.kind:
            case EffectKind.STOP:
                return Request(unit=unit, priority=safety, source=row.name, stop=True)
            case EffectKind.BLOCK:
                return Request(unit=unit, priority=safety, source=row.name, block=True)
            case EffectKind.LIMIT:
                most = effect.value / 100 * self._rated_kw[unit]
                asks = PriorityClass.INTERLOCK
                return Request(unit=unit, priority=asks, source=row.name, low_kw=-most, high_kw=most)
            case _:
                asks = PriorityClass.INTERLOCK
                return Request(unit=unit, priority=asks, source=row.name, target_kw=effect.value)

    def writes(self) -> list[tuple[int, float]]:
        """(row, value) that interlocks in force want to see written; the first in the matrix wins a row."""
        out: dict[int, float] = {}
        for i in self._forced:
            for effect in self.rows[i].effects:
                if effect.kind is EffectKind.WRITE:
                    out.setdefault(effect.row, effect.value)
        return list(out.items())

    def waiting(self, unit: int) -> str:
        """An interlock of this unit whose inputs are not known yet; empty when there is none."""
        for i in self._open:
            if self.states[i].waiting and unit in self._units[i]:
                return self.rows[i].name
        return ""

    def tripped(self, unit: int) -> bool:
        """Whether anything stops or blocks this unit."""
        stops = (EffectKind.STOP, EffectKind.BLOCK)
        return any(
            effect.unit == unit and effect.kind in stops for i in self._forced for effect in self.rows[i].effects
        )

    def start_refusal(self, unit: int) -> str:
        """Why this unit may not be started now; empty when it may."""
        for row, state, active in zip(self.rows, self.states, self._in_force, strict=True):
            stops = {effect.kind for effect in row.effects if effect.unit == unit}
            if active and stops & {EffectKind.STOP, EffectKind.BLOCK}:
                return f"interlock {row.name}: {row.message}"
            if EffectKind.PERMIT in stops and not state.active and state.bypass is None:
                return f"no start without {row.name}: {row.message}"
        return ""

    # -- what persons do ---------------------------------------------------------------------------------------------

    def raise_row(self, name: str, cause: str) -> None:
        """Trip a row of the gateway itself (`BUILT_IN`) with the next cycle."""
        self._causes[self.index[name]] = cause

    def acknowledge(self, name: str) -> None:
        """A person has seen the trip: the first half of a reset in the field and at the HMI. Raises `Refused`."""
        state = self.states[self._of(name)]
        if not state.latched:
            raise Refused(f"{name} is not latched: nothing to acknowledge")
        state.acknowledged = True
        self.changed = True

    def reset(self, name: str) -> InterlockEvent:
        """End a latched trip. Raises `Refused`: the cause is still there, or was not acknowledged."""
        i = self._of(name)
        state, trouble = self.states[i], self.reset_refusal(i)
        if trouble:
            raise Refused(trouble)
        state.latched, state.acknowledged, state.cause = False, False, ""
        self.changed = True
        return InterlockEvent(name, "reset")

    def reset_refusal(self, i: int) -> str:
        """What stands in the way of a reset of this row now; empty when nothing does."""
        row, state = self.rows[i], self.states[i]
        if not state.latched:
            return f"{row.name} is not latched: nothing to reset"
        if state.raw and state.bypass is None:
            return f"{row.name}: its cause is still there"
        if state.waiting:
            return f"{row.name}: its inputs are not known yet"
        if row.reset is Reset.FIELD_HMI and not state.acknowledged:
            return f"{row.name}: acknowledge it first"
        return ""

    def reset_all(self) -> list[InterlockEvent]:
        """Reset what can be reset. Raises `Refused` when something is latched and stays so."""
        events, refusals = list[InterlockEvent](), list[str]()
        for row, state in zip(self.rows, self.states, strict=True):
            if state.latched:
                try:
                    events.append(self.reset(row.name))
                except Refused as refused:
                    refusals.append(str(refused))
        if refusals:
            raise Refused("; ".join(refusals))
        return events

    def bypass(self, name: str, by: Bypass) -> None:
        """Take a row out of action until `by.until_ns`. Raises `Refused`."""
        i = self._of(name)
        if not self.rows[i].may_bypass or name in BUILT_IN:
            raise Refused(f"{name} may not be bypassed")
        self.states[i].bypass = by
        self.changed = True

    def end_bypass(self, name: str) -> None:
        """Put a row back into action. Raises `Refused`."""
        state = self.states[self._of(name)]
        if state.bypass is None:
            raise Refused(f"{name} is not bypassed")
        state.bypass = None
        self.changed = True

    def _of(self, name: str) -> int:
        if name not in self.index:
            raise Refused(f"there is no interlock {name}")
        self._open.add(self.index[name])
        return self.index[name]

    # -- what survives -----------------------------------------------------------------------------------------------

    def kept(self) -> dict[str, Any]:
        """Latches, bypasses and first-out marks, as JSON can hold them."""
        rows = {row.name: kept for row, state in zip(self.rows, self.states, strict=True) if (kept := state.kept())}
        first = [None if at is None else self.rows[at].name for at in self.first_out]
        return {"rows": rows, "first_out": first}

    def restore(self, data: dict[str, Any]) -> None:
        """Take what `kept` gave; rows that the matrix no longer has are left out. Raises `KeyError` and its like."""
        for name, kept in data["rows"].items():
            if name in self.index:
                self.states[self.index[name]].restore(kept)
        for unit, name in enumerate(data["first_out"][: len(self.first_out)]):
            self.first_out[unit] = self.index.get(name)

    def latch_all(self, cause: str, wall_ns: int) -> None:
        """What was written down cannot be read: every latching row is taken as tripped."""
        for row, state in zip(self.rows, self.states, strict=True):
            if row.latch:
                self._latch(row, state, wall_ns, cause)
