"""The command broker: the one road to a field write."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.audit import AuditLog
from gateway.commanding.authority import Authority
from gateway.commanding.claim import Claim, ClaimFailed, Refusal
from gateway.commanding.fastwrites import FastWrites
from gateway.commanding.record import CommandRecord, check_names
from gateway.contracts.command import Action, Command, OnOutcome, Outcome, Reason, Stage
from gateway.contracts.driver import Write, WriteLost, WriteRefused
from gateway.contracts.log import Log
from gateway.points.change import Changes
from gateway.points.model import NO_ROW, Kind, PointCatalogue
from gateway.points.quality import UNUSABLE
from gateway.points.table import PointTable

LOCAL_SERVER: Final = "local"
"""The `server` of a person on the gateway itself, who reaches the feed's socket by its file mode."""

_FEEDBACK_POLL_S: Final = 0.02
_FEEDBACK_PART: Final = 0.005
_HOLDS: Final = (Action.SUBSTITUTE, Action.RELEASE, Action.BLOCK, Action.UNBLOCK)

WriteField = Callable[[Write], Awaitable[None]]
Handler = Callable[[Command], Refusal | None]
"""Carries out, within the core and at once, what has passed the broker's checks; or says why not."""


@dataclass(slots=True)
class _InFlight:
    """A command between acceptance and its final word."""

    command: Command
    on_outcome: OnOutcome
    accepted_ns: int
    written_ns: int = 0
    acknowledged_ns: int = 0
    read_back: dict[str, object] | None = None
    """What the feedback showed last."""
    task: asyncio.Task[Outcome] | None = None
    superseded: bool = False


class CommandBroker:
    """Checks, writes, waits for the device and the feedback, answers, and records every step.

    Lives on the core's loop. `write_field` finds the point's driver and waits for the device's word.
    """

    def __init__(
        self,
        catalogue: PointCatalogue,
        table: PointTable,
        authority: Authority,
        write_field: WriteField,
        tell_commanded: Callable[[int, int, bool], None],
        spread: Callable[[Changes], None],
        audit: AuditLog,
        log: Log,
    ) -> None:
        self._catalogue, self._table, self._authority = catalogue, table, authority
        self._write_field, self._tell_commanded, self._spread = write_field, tell_commanded, spread
        self._log, self.record = log, CommandRecord(catalogue, audit)
        self._in_flight: dict[int, _InFlight] = {}
        self._handlers: dict[Action, Handler] = {}
        self._command_points: dict[int, Handler] = {}
        self._claims: dict[int, Claim] = {}
        self._in_local: set[int] = set()
        self.control_writes = FastWrites(write_field)
        """The control cycle's own way to the field: it decides anew every cycle, so the newest value wins."""
        self._subject_checks: tuple[Callable[[Command], Refusal | None], ...] = (
            self._check_subject,
            self._check_refused,
            self._check_operator,
            self._check_deadline,
            self._check_audit,
        )
        self._checks: tuple[Callable[[Command], Refusal | None], ...] = (
            self._check_point,
            self._check_refused,
            self._check_rights,
            self._check_test,
            self._check_deadline,
            self._check_value,
            self._check_local,
            self._check_blocked,
            self._check_busy,
            self._check_audit,
            self._check_claim,
        )

    def handle(self, actions: Iterable[Action], handler: Handler) -> None:
        """Who carries out actions on subjects that are no points (alarms, interlocks)."""
        self._handlers.update(dict.fromkeys(actions, handler))

    def handle_point(self, row: int, handler: Handler, in_local: bool = False) -> None:
        """Who carries out commands to a control or set-point of the gateway itself, which has no device.

        `in_local`: it is taken in local too (an emergency stop).
        """
        self._command_points[row] = handler
        if in_local:
            self._in_local.add(row)

    def claim(self, row: int, claim: Claim) -> None:
        """This device's set-point or run control is driven by local control."""
        self._claims[row] = claim

    def record_control(self, **facts: object) -> None:
        """A line of the audit about what control does by itself."""
        self.record.control(**facts)

    async def stop(self) -> None:
        """End what is in flight; each asker hears that the result is not known."""
        tasks = [flight.task for flight in self._in_flight.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.control_writes.stop()

    def submit(self, command: Command, on_outcome: OnOutcome) -> None:
        """Take a command; answers through `on_outcome`, see `gateway.contracts.CommandPort`."""
        refusal, checks = self._checked(command)
        if refusal is not None:
            self._refuse(command, on_outcome, refusal, checks)
        elif command.action.of_subject:
            self._carry_out(command, on_outcome, self._handlers[command.action], checks)
        elif command.action is Action.EXECUTE and command.row in self._command_points:
            self._carry_out(command, on_outcome, self._command_points[command.row], checks)
        elif command.action in _HOLDS:
            self._hold(command, on_outcome, checks)
        elif command.action is Action.EXECUTE:
            self._execute(command, on_outcome, checks)
        else:
            self.record.step(command, command.action.value, checks=checks)
            on_outcome(Outcome(id=command.id, stage=Stage.ACCEPTED))
            on_outcome(Outcome(id=command.id, stage=Stage.COMPLETED))

    def refusal(self, command: Command) -> Refusal | None:
        """Why this command may not be carried out now, or None."""
        return self._checked(command)[0]

    def _checked(self, command: Command) -> tuple[Refusal | None, list[str]]:
        """Why not, or None; and the names of the checks made, of which the last is the one that refused."""
        checks = self._subject_checks if command.action.of_subject else self._checks
        for made, check in enumerate(checks, 1):
            refusal = check(command)
            if refusal is not None:
                return refusal, check_names(checks[:made])
        return None, check_names(checks)

    def _check_point(self, command: Command) -> Refusal | None:
        if not 0 <= command.row < len(self._catalogue):
            return Reason.UNKNOWN_POINT, f"there is no point in row {command.row}"
        commanded = self._catalogue.kind(command.row).commanded
        if command.action in _HOLDS:
            return (Reason.NOT_COMMANDABLE, "only a measured point can be forced or blocked") if commanded else None
        return None if commanded else (Reason.NOT_COMMANDABLE, "a measured point cannot be commanded")

    def _check_subject(self, command: Command) -> Refusal | None:
        if command.action in self._handlers:
            return None
        return Reason.NOT_COMMANDABLE, f"nothing here takes {command.action}"

    def _check_operator(self, command: Command) -> Refusal | None:
        """Who may command any point may act on alarms and their like."""
        origin = command.origin
        if origin.server == LOCAL_SERVER or self._authority.rights.get((origin.server, origin.master)):
            return None
        return Reason.NOT_AUTHORISED, f"{origin.server}/{origin.master} has no right to this"

    def _check_refused(self, command: Command) -> Refusal | None:
        return None if command.refusal is Reason.OK else (command.refusal, command.refusal_text)

    def _check_rights(self, command: Command) -> Refusal | None:
        origin = command.origin
        if origin.server == LOCAL_SERVER:
            return None
        who = (origin.server, origin.master)
        if command.action in _HOLDS:
            allowed = who in self._authority.holders
        else:
            allowed = command.row in self._authority.rights.get(who, frozenset())
        if not allowed:
            return Reason.NOT_AUTHORISED, f"{origin.server}/{origin.master} has no right to this"
        return None

    def _check_test(self, command: Command) -> Refusal | None:
        if not command.test or command.action in _HOLDS:
            return None
        return Reason.TEST, "a command marked as test never reaches the field"

    def _check_deadline(self, command: Command) -> Refusal | None:
        late_ms = (time.time_ns() - command.deadline_ns) / 1e6
        return (Reason.EXPIRED, f"{late_ms:.0f} ms after its deadline") if late_ms >= 0 else None

    def _check_value(self, command: Command) -> Refusal | None:
        value, row = command.value, command.row
        if command.action in (Action.RELEASE, Action.UNBLOCK, Action.BLOCK, Action.CANCEL):
            return None
        if not math.isfinite(value):
            return Reason.OUT_OF_RANGE, f"{value} is no number that can be written"
        kind = self._catalogue.kind(row)
        if kind in (Kind.CONTROL, Kind.BINARY) and value not in (0.0, 1.0):
            return Reason.OUT_OF_RANGE, f"{value:g} is neither 0 nor 1"
        if kind is Kind.DOUBLE and value not in (0.0, 1.0, 2.0, 3.0):
            return Reason.OUT_OF_RANGE, f"{value:g} is none of 0, 1, 2, 3"
        low, high = float(self._catalogue.low[row]), float(self._catalogue.high[row])
        if kind is Kind.SETPOINT and (value < low or value > high):
            return (
                Reason.OUT_OF_RANGE,
                f"{value:g} is outside {low:g} to {high:g} {self._catalogue.units[row]}".rstrip(),
            )
        return None

    def _check_local(self, command: Command) -> Refusal | None:
        row = self._authority.local_row
        if row == NO_ROW or command.action in _HOLDS or command.action is Action.CANCEL:
            return None
        if command.row in self._in_local:
            return None
        if int(self._table.quality[row]) & int(UNUSABLE):
            return Reason.LOCAL, f"{self._catalogue.names[row]} is not known: remote control is not certain"
        if self._table.value[row] != self._authority.remote_when:
            return Reason.LOCAL, f"{self._catalogue.names[row]} says local"
        return None

    def _check_blocked(self, command: Command) -> Refusal | None:
        if command.action not in _HOLDS and self._table.is_blocked(command.row):
            return Reason.BLOCKED, "the point is blocked"
        return None

    def _check_busy(self, command: Command) -> Refusal | None:
        flight = None if command.row in self._claims else self._in_flight.get(command.row)
        if command.action is Action.EXECUTE and flight is not None and not flight.acknowledged_ns:
            return Reason.BUSY, f"{flight.command.origin} is writing this point"
        return None

    def _check_audit(self, command: Command) -> Refusal | None:
        return None if self.record.healthy else (Reason.BLOCKED, "the audit record cannot be written")

    def _check_claim(self, command: Command) -> Refusal | None:
        claim = self._claims.get(command.row)
        return None if claim is None or command.action is Action.CANCEL else claim.refusal(command)

    def _refuse(self, command: Command, on_outcome: OnOutcome, refusal: Refusal, checks: list[str]) -> None:
        reason, text = refusal[0], refusal[1] or refusal[0].value
        self.record.step(command, Stage.REFUSED, reason=reason, text=text, checks=checks)
        about, origin = self.record.subject(command), str(command.origin)
        self._log.warning("command refused", point=about, origin=origin, reason=text)
        on_outcome(Outcome(id=command.id, stage=Stage.REFUSED, reason=reason, text=text))

    def _carry_out(self, command: Command, on_outcome: OnOutcome, handler: Handler, checks: list[str]) -> None:
        """What needs no device: done, or refused, before this returns."""
        refusal = handler(command)
        if refusal is not None:
            self._refuse(command, on_outcome, refusal, [*checks, "carried out"])
            return
        self.record.step(command, command.action.value, checks=checks)
        on_outcome(Outcome(id=command.id, stage=Stage.ACCEPTED))
        on_outcome(Outcome(id=command.id, stage=Stage.COMPLETED))

    def _hold(self, command: Command, on_outcome: OnOutcome, checks: list[str]) -> None:
        """Substitute, block or release a measured point."""
        row, table = command.row, self._table
        self.record.step(command, command.action.value, checks=checks)
        match command.action:
            case Action.SUBSTITUTE:
                batch = table.substitute(row, command.value, time.time_ns(), test=command.test)
            case Action.BLOCK:
                batch = table.block(row)
            case _:
                batch = table.release(row)
        self._spread(batch)
        self._log.info(f"point {command.action}", point=self.record.name(row), origin=str(command.origin))
        on_outcome(Outcome(id=command.id, stage=Stage.ACCEPTED))
        on_outcome(Outcome(id=command.id, stage=Stage.COMPLETED))

    def _execute(self, command: Command, on_outcome: OnOutcome, checks: list[str]) -> None:
        before = self._in_flight.pop(command.row, None)
        if before is not None and before.task is not None:
            before.superseded = True
            before.task.cancel()
        flight = _InFlight(command, on_outcome, time.time_ns())
        self._in_flight[command.row] = flight
        self.record.step(command, Stage.ACCEPTED, checks=checks)
        on_outcome(Outcome(id=command.id, stage=Stage.ACCEPTED))
        flight.task = asyncio.create_task(self._write_and_watch(flight))
        flight.task.add_done_callback(lambda task: self._ended(flight, task))

    def _ended(self, flight: _InFlight, task: asyncio.Task[Outcome]) -> None:
        """The final word, however the task ended; a fault of a driver is a failed command, never a silent one."""
        command = flight.command
        if task.cancelled():
            reason = Reason.SUPERSEDED if flight.superseded else Reason.CORE_LOST
            text = "a newer command took its place" if flight.superseded else "the gateway is stopping"
            outcome = Outcome(id=command.id, stage=Stage.FAILED, reason=reason, text=text)
        elif (fault := task.exception()) is not None:
            text = f"the driver failed: {type(fault).__name__}: {fault}"
            outcome = Outcome(id=command.id, stage=Stage.FAILED, reason=Reason.DEVICE_LOST, text=text)
            self._log.error("driver fault in a write", point=self.record.name(command.row), cause=text)
        else:
            outcome = task.result()
        if self._in_flight.get(command.row) is flight:
            del self._in_flight[command.row]
        self.record.step(
            command,
            outcome.stage,
            reason=outcome.reason,
            text=outcome.text,
            accepted=flight.accepted_ns,
            written=flight.written_ns or None,
            acknowledged=flight.acknowledged_ns or None,
            read_back=flight.read_back,
            by_control=True if command.row in self._claims else None,
        )
        if outcome.stage is Stage.FAILED:
            self._log.warning("command failed", point=self.record.name(command.row), reason=outcome.text)
        flight.on_outcome(outcome)

    async def _write_and_watch(self, flight: _InFlight) -> Outcome:
        """The device's acknowledgement, then the feedback's agreement, all before the deadline."""
        command = flight.command

        def failed(reason: Reason, text: str) -> Outcome:
            return Outcome(id=command.id, stage=Stage.FAILED, reason=reason, text=text)

        left_s = (command.deadline_ns - time.time_ns()) / 1e9
        feedback = int(self._catalogue.feedback[command.row])
        self._tell_commanded(command.row, feedback, not command.origin.of_person)
        flight.written_ns = time.time_ns()
        self.record.progress(command, "written")
        claim, expected = self._claims.get(command.row), command.value
        try:
            async with asyncio.timeout(left_s):
                if claim is not None:
                    expected = await claim.carry_out(command)
                else:
                    await self._write_field(Write(row=command.row, value=command.value, pulse=command.pulse))
        except ClaimFailed as error:
            return failed(error.reason, str(error))
        except WriteRefused as error:
            return failed(Reason.DEVICE_REFUSED, str(error))
        except WriteLost as error:
            return failed(Reason.DEVICE_LOST, str(error))
        except TimeoutError:
            return failed(Reason.TIMEOUT, "the device did not acknowledge before the deadline")
        flight.acknowledged_ns = time.time_ns()
        self.record.progress(command, "acknowledged")
        if feedback != NO_ROW and not await self._agrees(flight, feedback, expected):
            return failed(Reason.FEEDBACK, self._disagreement(expected, feedback))
        return Outcome(id=command.id, stage=Stage.COMPLETED)

    async def _agrees(self, flight: _InFlight, feedback: int, expected: float) -> bool:
        """Whether the feedback point reaches the commanded value, measured after the acknowledgement, in time."""
        command, table = flight.command, self._table
        tolerance = float(self._catalogue.feedback_tolerance[command.row])
        if math.isnan(tolerance):  # neither the point nor its feedback has a range to take a part of
            tolerance = _FEEDBACK_PART * abs(expected)
        limit_ns = int(float(self._catalogue.feedback_s[command.row]) * 1e9)
        end_ns = min(command.deadline_ns, flight.acknowledged_ns + limit_ns)
        while True:
            value, quality, _ = table.field_value(feedback)
            flight.read_back = self.record.read_back(feedback, value, quality.words, expected)
            fresh = int(table.seen_ns[feedback]) > flight.acknowledged_ns
            if fresh and not quality & UNUSABLE and abs(value - expected) <= tolerance:
                return True
            if time.time_ns() >= end_ns:
                return False
            await asyncio.sleep(_FEEDBACK_POLL_S)

    def _disagreement(self, expected: float, feedback: int) -> str:
        value, quality, _ = self._table.field_value(feedback)
        name, unit = self._catalogue.names[feedback], self._catalogue.units[feedback]
        return f"{name} is {value:g} {unit} ({quality.words}), commanded was {expected:g}"
