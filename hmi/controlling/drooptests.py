"""The droop test as a button: one at a time, told to all pages while it runs, its report kept."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.contracts.command import Action, Stage
from gateway.control.evidence.clauses import ClauseVerdict
from gateway.control.frequency.plan import DroopPlan
from gateway.control.frequency.profiles import Profile
from gateway.points.quality import UNUSABLE
from hmi.access.person import Person
from hmi.desk import Desk
from hmi.endpoint import Answer
from hmi.refusal import Refusal

TOPIC: Final = "droop-test"
_KEPT: Final = 200


class Verdict(Answer):
    clause: str
    passed: bool
    words: str


class DroopTestState(Answer):
    """`doing` says what is shown now; `problem` why it could not go on; `report` names the page when it is through."""

    running: bool = False
    unit: str = ""
    profile: str = ""
    by: str = ""
    began_ms: float = 0.0
    takes_s: float = 0.0
    doing: str = ""
    verdicts: list[Verdict] = []  # noqa: RUF012 - a pydantic model copies it
    problem: str = ""
    report: str = ""


class DroopTests:
    """One per process."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self._desk, self._folder = desk, folder
        self.state = DroopTestState()
        self._task: asyncio.Task[None] | None = None
        desk.stream.greetings[TOPIC] = lambda: {"test": self.state.model_dump()}

    def start(self, person: Person, droop: DroopPlan, profile: Profile) -> None:
        """Begin. Raises `Refusal` while one runs."""
        if self._task is not None and not self._task.done():
            raise Refusal(409, f"{self.state.by} is testing {self.state.unit} already")
        self.state = DroopTestState(
            running=True,
            unit=droop.name,
            profile=profile.name,
            by=person.name,
            began_ms=time.time() * 1e3,
            takes_s=4.0 + sum(clause.hold_s for clause in profile.clauses),
        )
        self._desk.audit.record(step="droop test", by=person.who, unit=droop.name, profile=profile.name)
        self._task = asyncio.get_running_loop().create_task(self._run(person, droop, profile))
        self._tell()

    def stop(self, person: Person) -> None:
        """End it before its time. Raises `Refusal` when none runs."""
        if self._task is None or self._task.done():
            raise Refusal(409, "no droop test runs")
        self._desk.audit.record(step="droop test stopped", by=person.who, unit=self.state.unit)
        self._task.cancel()

    def _change(self, **facts: Any) -> None:
        self.state = self.state.model_copy(update=facts)
        self._tell()

    def _tell(self) -> None:
        self._desk.stream.tell(TOPIC, test=self.state.model_dump())

    async def _run(self, person: Person, droop: DroopPlan, profile: Profile) -> None:
        # Loads what writes workbooks: only when somebody tests.
        from gateway.control.evidence.drooptest import DroopTest, DroopTestError  # noqa: PLC0415

        async def show(hz: float) -> None:
            outcome = await self._desk.command(person, Action.EXECUTE, row=droop.rows.test_hz, value=hz)
            if outcome.stage is not Stage.COMPLETED:
                raise DroopTestError(f"the frequency cannot be shown: {outcome.text}")

        def judged(verdict: ClauseVerdict) -> None:
            told = Verdict(clause=verdict.clause, passed=verdict.passed, words=verdict.words)
            self._change(verdicts=[*self.state.verdicts, told])

        def say(words: str) -> None:
            self._change(doing=words)

        test = DroopTest(droop=droop, profile=profile, show=show, power_kw=self._power(droop), say=say)
        try:
            verdicts = await test.run(judged)
            report = await self._desk.on_disk(self._write, droop, profile, verdicts, person.name)
        except (DroopTestError, OSError) as error:
            self._change(running=False, doing="", problem=str(error))
        except asyncio.CancelledError:
            self._change(running=False, doing="", problem="it was stopped before its end")
            raise
        else:
            self._change(running=False, doing="", report=report)

    def _power(self, droop: DroopPlan) -> Callable[[], float]:
        mirror, row = self._desk.client.mirror, droop.power

        def power_kw() -> float:
            known = row >= 0 and not int(mirror.quality[row]) & int(UNUSABLE)
            return float(mirror.value[row]) if known else math.nan

        return power_kw

    def _write(self, droop: DroopPlan, profile: Profile, verdicts: list[ClauseVerdict], person: str) -> str:
        from gateway.control.evidence.drooptest import write_droop_test  # noqa: PLC0415

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{droop.name}"
        path = self._folder / f"{name}.html"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        write_droop_test(path, self._desk.site.name, droop, profile, verdicts, person)
        for old in sorted(self._folder.glob("*.html"))[:-_KEPT]:
            old.unlink(missing_ok=True)
        return name
