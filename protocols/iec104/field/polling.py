"""What an RTU is asked for by itself: interrogations, counters, its clock. One question at a time. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from protocols.iec104 import time56
from protocols.iec104.asdu import Asdu, Cause, single
from protocols.iec104.field.plan import QUALIFIERS, RtuPlan
from protocols.iec104.time56 import Zone

STATION: Final = 20
"""Qualifier of interrogation: the whole station."""


class Asked(Enum):
    """What is asked, by type identification."""

    INTERROGATION = 100
    COUNTERS = 101
    CLOCK = 103

    @property
    def words(self) -> str:
        return {100: "interrogation", 101: "counter interrogation", 103: "clock synchronisation"}[self.value]


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one common address. `qualifier` is 0 for the clock."""

    what: Asked
    ca: int
    qualifier: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """The end of a question: `trouble` is empty, or why it was not answered as asked."""

    question: Question
    trouble: str = ""


_REQUEST: Final = 0x3F
"""What is asked for, within a qualifier of counter interrogation; the rest freezes and resets."""


class Polling:
    """Asks at the start of data transfer, and again when the time has come."""

    def __init__(self, plan: RtuPlan, zone: Zone) -> None:
        self._plan, self._zone = plan, zone
        counting = plan.points.key[plan.points.family == 15] >> np.uint64(24)
        self._counting = sorted({int(ca) for ca in counting.tolist()})
        self._waiting: deque[Question] = deque()
        self._until = 0.0
        self._due: dict[Asked, float] = {}
        self.current: Question | None = None

    def start(self, now: float) -> None:
        """Data transfer began: the clock first, then everything."""
        self._waiting.clear()
        self.current = None
        for what in (Asked.CLOCK, Asked.INTERROGATION, Asked.COUNTERS):
            if what is not Asked.CLOCK or self._plan.clock_sync_s:
                self._ask(what, now)

    def interrogate(self, ca: int) -> None:
        """One station is to be interrogated (again), behind what waits."""
        question = Question(Asked.INTERROGATION, ca, STATION)
        if question not in self._waiting and ca in self._plan.stations:
            self._waiting.append(question)

    def _ask(self, what: Asked, now: float) -> None:
        plan = self._plan
        period_s = {
            Asked.CLOCK: plan.clock_sync_s,
            Asked.INTERROGATION: plan.interrogation_s,
            Asked.COUNTERS: plan.counter_s if self._counting else 0.0,
        }[what]
        self._due.pop(what, None)
        if period_s:
            self._due[what] = now + period_s
        asked, qualifiers = {
            Asked.CLOCK: (plan.stations, (0,)),
            Asked.INTERROGATION: (plan.stations, (STATION,)),
            Asked.COUNTERS: (self._counting, QUALIFIERS[plan.counters]),
        }[what]
        questions = [Question(what, ca, qualifier) for ca in asked for qualifier in qualifiers]
        self._waiting.extend(each for each in questions if each not in self._waiting)

    def next_asdu(self, now: float, wall_ns: int) -> bytes | None:
        """The next question, if none is open."""
        if self.current is not None or not self._waiting:
            return None
        question = self.current = self._waiting.popleft()
        self._until = now + self._plan.interrogation_timeout_s
        element = bytes([question.qualifier])
        if question.what is Asked.CLOCK:
            element = time56.encode(np.array([wall_ns], np.int64), np.zeros(1, np.bool_), self._zone).tobytes()
        return single(question.what.value, Cause.ACTIVATION, question.ca, 0, element, self._plan.originator)

    def answer(self, asdu: Asdu) -> Answered | None:
        """What a mirrored question means; None: nothing ends by it."""
        question = self.current
        if question is None or asdu.type_id != question.what.value or asdu.common_address != question.ca:
            return None
        if question.what is not Asked.CLOCK and asdu.raw[9:10] != bytes([question.qualifier]):
            return None
        if asdu.negative or asdu.cause >= Cause.UNKNOWN_TYPE:
            return self._end(question, f"the RTU answered the {question.what.words} negatively (cause {asdu.cause})")
        ends = Cause.ACTIVATION_CON if self._ends_with_confirmation(question) else Cause.ACTIVATION_TERM
        return self._end(question) if asdu.cause == ends else None

    @staticmethod
    def _ends_with_confirmation(question: Question) -> bool:
        return question.what is Asked.CLOCK or (question.what is Asked.COUNTERS and question.qualifier & ~_REQUEST != 0)

    def on_time(self, now: float) -> Answered | None:
        """Ask what is due; the end of a question that was not answered in time."""
        for what in [what for what, due in self._due.items() if now >= due]:
            self._ask(what, now)
        question = self.current
        if question is not None and now >= self._until:
            patience_s = self._plan.interrogation_timeout_s
            return self._end(question, f"no end of the {question.what.words} within {patience_s:g} s")
        return None

    def next_deadline(self) -> float | None:
        """When `on_time` is next to be called."""
        deadlines = list(self._due.values())
        if self.current is not None:
            deadlines.append(self._until)
        return min(deadlines, default=None)

    def _end(self, question: Question, trouble: str = "") -> Answered:
        self.current = None
        return Answered(question, trouble)
