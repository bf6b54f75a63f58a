"""What the calls about control share: facts, open selects, and the commands of pages on their way."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from gateway.contracts.command import Outcome
from gateway.contracts.screen import SCREEN
from gateway.control.frequency.plan import DroopPlan
from gateway.control.unit import Unit
from hmi.controlling.drooptests import DroopTests
from hmi.controlling.excursions import Evidence
from hmi.controlling.facts import control_facts
from hmi.controlling.selects import Selects
from hmi.controlling.told import told
from hmi.controlling.watch import CONTROL_TOPIC, ControlWatch
from hmi.desk import Desk
from hmi.passport.story import key_of

_HELD: Final = 200


class Console:
    """What the calls share: open selects, and commands on their way. One per process, made when it begins."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.selects = Selects()
        self.facts = control_facts(desk.site)
        self.watch = None if desk.site.control is None else ControlWatch(desk, desk.site.control)
        self.evidence = Evidence(desk.site.state_dir)
        self.tests = DroopTests(desk, self.evidence.reports)
        self._selects: dict[int, str] = {}
        self._keys: dict[int, str] = {}
        """By number of command: the select of the page, the key in the passport."""
        controllers: Any = () if desk.site.control is None else desk.site.control.controllers
        self.droops = {each.name: each for each in controllers if isinstance(each, DroopPlan)}
        self.engineers_only = {each.rows.test_hz for each in self.droops.values()}
        """Points that none but an engineer commands."""
        units: Any = () if desk.site.control is None else desk.site.control.units
        self.own: dict[int, Unit] = {row: unit for unit in units for row in (unit.setpoint, unit.run) if row >= 0}
        """Set-points and run controls that control has taken for its own."""
        desk.on_records.append(self._record)

    def follow(self, select: str, outcome: Outcome) -> None:
        """A stage of a command that a page gave."""
        self._selects[outcome.id] = select
        _trim(self._selects)
        self._tell(outcome.id, outcome.stage.value, told(outcome).words)

    def key(self, command_id: int) -> str:
        """Of this command in the passport; empty when it is not known."""
        return self._keys.get(command_id, "")

    def _record(self, record: dict[str, Any]) -> None:
        by, command_id = record.get("by"), int(record.get("command", 0))
        if not isinstance(by, dict) or by.get("server") != SCREEN:
            return
        self._keys[command_id] = key_of(record)
        _trim(self._keys)
        if record.get("progress") and command_id in self._selects:
            self._tell(command_id, str(record["step"]), "")

    def _tell(self, command_id: int, step: str, words: str) -> None:
        facts = {"select": self._selects[command_id], "step": step, "key": self.key(command_id), "words": words}
        self.desk.stream.tell(CONTROL_TOPIC, story=facts)


def _trim(held: dict[int, str]) -> None:
    while len(held) > _HELD:
        del held[next(iter(held))]


_consoles: Final[WeakKeyDictionary[Desk, Console]] = WeakKeyDictionary()


def console(desk: Desk) -> Console:
    """That of this process; made with its desk."""
    found = _consoles.get(desk)
    if found is None:
        found = _consoles[desk] = Console(desk)
    return found
