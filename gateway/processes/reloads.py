"""A new configuration for a gateway that runs: compiled beside it, and only what differs is started anew.

The supervisor's part; it loads neither numpy nor the configuration.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from gateway.processes.child import ProcessPlans
from gateway.processes.childprocess import compile_command, compile_environment

if TYPE_CHECKING:
    from gateway.contracts.log import Log
    from gateway.processes.port import Caller

RESULT: Final = "reload.json"
_COMPILE_S: Final = 60.0
_TEXT: Final = 200_000
_TRIAL_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Compiling:
    """A compilation on its way. `who` and `reason` go to the log and to the result."""

    who: str
    reason: str
    popen: subprocess.Popen[bytes]
    out: IO[bytes]
    err: IO[bytes]
    began: float

    @classmethod
    def start(cls, command: list[str], environment: dict[str, str], who: str, reason: str) -> Compiling:
        """Begin. Raises `OSError`."""
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed by `result`
        popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)  # noqa: S603
        return cls(who=who, reason=reason, popen=popen, out=out, err=err, began=time.monotonic())

    def done(self) -> bool:
        """Whether it has come to its end; one that takes too long is killed."""
        if self.popen.poll() is None and time.monotonic() - self.began > _COMPILE_S:
            self.popen.kill()
        return self.popen.poll() is not None

    def result(self) -> tuple[ProcessPlans | None, str]:
        """The plans, or None with every problem in words."""
        self.out.seek(0)
        self.err.seek(0)
        text = self.err.read(_TEXT).decode(errors="replace").strip()
        with self.out, self.err:
            if self.popen.returncode:
                return None, text or f"the compilation ended with {self.popen.returncode}"
            plans: ProcessPlans = pickle.load(self.out)  # noqa: S301 - from our own child
        return plans, text


@dataclass(slots=True, kw_only=True)
class Change:
    """What differs between two sets of plans."""

    restarted: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)

    @classmethod
    def between(cls, old: ProcessPlans, new: ProcessPlans) -> Change:
        """By the digests of the plans."""
        change = cls()
        for title in new.processes:
            if title not in old.processes:
                change.added.append(title)
            elif old.digests.get(title) == new.digests.get(title):
                change.unchanged.append(title)
            else:
                change.restarted.append(title)
        change.removed = [title for title in old.processes if title not in new.processes]
        return change

    @property
    def touched(self) -> list[str]:
        """Processes that do not simply go on."""
        return [*self.restarted, *self.added, *self.removed]

    def facts(self) -> dict[str, list[str]]:
        """For people and programs."""
        return {
            "restarted": self.restarted,
            "added": self.added,
            "removed": self.removed,
            "unchanged": self.unchanged,
        }


@dataclass(slots=True, kw_only=True)
class Trial:
    """New processes that have to become ready; until then the old plans are kept."""

    old: ProcessPlans
    change: Change
    who: str
    reason: str
    deadline: float
    warnings: str = ""
    undone: str = ""
    """Why the old plans are back, once they are."""


def write_result(state_dir: Path, **facts: Any) -> None:
    """Keep what became of the last reload, for those who were started anew by it."""
    path = state_dir / "run" / RESULT
    fresh = path.with_suffix(".new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"time_ns": time.time_ns(), **facts}, file)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)  # a full disk must not keep the gateway from going on


class _Supervisor(Protocol):
    """Of the supervisor: what a reload needs."""

    @property
    def plans(self) -> ProcessPlans: ...

    @property
    def changing(self) -> bool: ...

    def status(self) -> list[dict[str, object]]: ...

    def unready(self, titles: list[str]) -> list[str]: ...

    def failing(self, titles: list[str]) -> list[str]: ...

    def change_to(self, plans: ProcessPlans, touched: list[str]) -> None: ...


class Reloads:
    """One at a time: compile, compare, start anew what differs, wait until it serves; otherwise back to what was."""

    def __init__(self, supervisor: _Supervisor, site: Path | None, state_dir: Path | None, log: Log) -> None:
        self._supervisor, self._site, self._state_dir, self._log = supervisor, site, state_dir, log
        self._compiling: Compiling | None = None
        self._trial: Trial | None = None
        self._caller: Caller | None = None
        self._hung_up = False

    def hangup(self) -> None:
        """SIGHUP: the handler only takes note."""
        self._hung_up = True

    def asked(self, request: dict[str, Any], caller: Caller) -> None:
        """A question from the socket."""
        if request.get("do") == "status":
            caller.answer(
                {"ok": True, "processes": self._supervisor.status(), "digests": self._supervisor.plans.digests}
            )
        elif request.get("do") != "reload":
            caller.answer({"ok": False, "text": "do: status or reload is expected"})
        elif self._compiling is not None or self._trial is not None:
            caller.answer({"ok": False, "text": "a reload is under way"})
        else:
            self._caller = caller
            self._begin(str(request.get("who", ""))[:200], str(request.get("reason", ""))[:400])

    def look_after(self) -> None:
        """Called with every turn of the supervisor."""
        if self._hung_up and self._compiling is None and self._trial is None:
            self._hung_up = False
            self._begin("SIGHUP", "")
        if self._compiling is not None and self._compiling.done():
            compiling, self._compiling = self._compiling, None
            self._compiled(compiling, *compiling.result())
        if self._trial is not None:
            self._try()

    def _begin(self, who: str, reason: str) -> None:
        if self._site is None:
            self._answer(ok=False, text="this gateway does not know its site file")
            return
        self._log.info("reload asked for", who=who, reason=reason)
        try:
            command = compile_command(self._site, self._state_dir)
            self._compiling = Compiling.start(command, compile_environment(), who, reason)
        except OSError as error:
            self._answer(ok=False, text=str(error))

    def _compiled(self, compiling: Compiling, plans: ProcessPlans | None, text: str) -> None:
        who, reason = compiling.who, compiling.reason
        old = self._supervisor.plans
        if plans is not None and plans.state_dir != old.state_dir:
            plans, text = None, "state_dir cannot be changed while the gateway runs: stop it and start it again"
        if plans is None:
            self._log.error("reload refused: nothing was changed", who=who, cause=text)
            self._end(ok=False, text=text, who=who, reason=reason)
            return
        change = Change.between(old, plans)
        if not change.touched:
            self._log.info("reload: nothing differs", who=who)
            self._end(ok=True, text=text, who=who, reason=reason, **change.facts())
            return
        self._log.info("reload", who=who, reason=reason, processes="; ".join(change.touched))
        self._supervisor.change_to(plans, change.touched)
        deadline = time.monotonic() + _TRIAL_S
        self._trial = Trial(old=old, change=change, who=who, reason=reason, deadline=deadline, warnings=text)

    def _try(self) -> None:
        trial = self._trial
        if trial is None or self._supervisor.changing:
            return
        facts: dict[str, Any] = {"who": trial.who, "reason": trial.reason, **trial.change.facts()}
        if trial.undone:
            self._trial = None
            self._end(ok=False, text=trial.undone, rolled_back=True, **facts)
            return
        fresh = [*trial.change.restarted, *trial.change.added]
        unready = self._supervisor.unready(fresh)
        if not unready:
            self._trial = None
            self._log.info("reload done", who=trial.who)
            self._end(ok=True, text=trial.warnings, **facts)
            return
        if self._supervisor.failing(unready) or time.monotonic() > trial.deadline:
            trial.undone = f"{', '.join(unready)} did not come to serve: the configuration of before runs again"
            self._log.error("reload undone", who=trial.who, cause=trial.undone)
            self._supervisor.change_to(trial.old, trial.change.touched)

    def _end(self, **facts: Any) -> None:
        write_result(Path(self._supervisor.plans.state_dir), **facts)
        self._answer(**facts)

    def _answer(self, **facts: Any) -> None:
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.answer(facts)
