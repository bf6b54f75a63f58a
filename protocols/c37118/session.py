"""One conversation with a PMU or concentrator, without a socket or clock: octets in, commands and points out. Pure.

::

    begin ──► DATA_OFF, SEND_CFGn ──► CONFIGURING ──configuration──► DATA_ON ──► WAITING ──data──► STREAMING
                                                                     ▲                              │
                                                                     └── another configuration ─────┘

A stream that comes unasked (``udp-listen``) begins in CONFIGURING too and waits for the configuration that is sent
about once a minute. `deadline` is when something must have come (monotonic seconds); the owner asks `overdue` then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Frames
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from gateway.points import Quality
from protocols.c37118.configuration import Assembler, Configuration
from protocols.c37118.decode import Batch, Decoder, Missing
from protocols.c37118.frame import REQUEST, C37Error, Command, FrameType, Splitter, check, command
from protocols.c37118.plan import StreamPlan
from protocols.c37118.quality import STAT_CONFIG_CHANGE
from protocols.c37118.sequence import Sequence

_NOT_TOPICAL: Final = np.uint32(Quality.NOT_TOPICAL)
_PERIODS: Final = 3
"""This many missing frames of a slow stream are silence."""


class Phase(Enum):
    """Where the conversation stands."""

    CONFIGURING = "no configuration yet"
    WAITING = "no data yet"
    STREAMING = "data"


@dataclass(frozen=True, slots=True)
class Send:
    """Octets for the PMU, one command."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Configured:
    """What the stream carries from now on. `first`: in this conversation."""

    configuration: Configuration
    missing: list[Missing]
    first: bool


@dataclass(frozen=True, slots=True)
class Foreign:
    """Frames of another IDCODE come (told once)."""

    id: int


Event = Send | Configured | Foreign | tuple[Decoder, Batch]


class Late(C37Error):
    """Frames come much later than they did: what is buffered on the way is worth nothing for control."""


COUNTERS: Final = (
    *("connects", "disconnects", "timeouts", "frames", "configurations", "frames_lost", "out_of_order", "duplicates"),
    *("time_steps", "late", "malformed", "wrong_id", "wrong_size", "unconfigured", "channels_missing"),
)
"""Counters every stream has from the start."""

ERRORS: Final = (
    *("disconnects", "timeouts", "frames_lost", "out_of_order", "late", "malformed", "wrong_id", "wrong_size"),
)
"""Those of them that are faults of the device or of its line."""


class Session:
    """One conversation. `counters` are the device's; `known` its last values by row, kept over conversations."""

    def __init__(self, plan: StreamPlan, counters: Counter[str], known: dict[int, float]) -> None:
        self._plan, self._counters, self._known = plan, counters, known
        self._splitter, self._assembler = Splitter(), Assembler()
        self._decoder: Decoder | None = None
        self._sequence: Sequence | None = None
        self._foreign: set[int] = set()
        self._changing: np.ndarray[tuple[int], np.dtype[np.uint16]] | None = None
        self._asked_at = -1e9
        self._least_lag_s: float | None = None
        self._late_since: float | None = None
        self.phase = Phase.CONFIGURING
        self.deadline = 0.0

    def begin(self, now: float) -> list[Event]:
        """What to send first."""
        self.deadline = now + self._plan.timeout_s
        if not self._plan.url.commanded:
            return []
        self._asked_at = now
        return [self._command(Command.DATA_OFF), self._command(REQUEST[self._plan.configuration])]

    def end(self) -> list[Event]:
        """What to send last."""
        self.remember()
        return [self._command(Command.DATA_OFF)] if self._plan.url.commanded else []

    def remember(self) -> None:
        """Keep the last values for the next decoder."""
        if self._decoder is not None:
            self._known.update(zip(self._decoder.rows.tolist(), self._decoder.last.tolist(), strict=True))

    def _command(self, what: Command) -> Send:
        return Send(command(self._plan.id, what))

    # -- what comes ---------------------------------------------------------------------------------------------

    def stream(self, data: bytes, now: float) -> list[Event]:
        """Octets of a connection, in any chunking. Raises `C37Error`: the connection is of no more use."""
        try:
            return self._frames(self._splitter.feed(data), now)
        except Late:
            raise
        except C37Error:
            self._counters["malformed"] += 1
            raise

    def datagram(self, data: bytes, now: float) -> list[Event]:
        """One datagram, one frame; what is not a frame is counted and dropped. Raises `Late`."""
        try:
            return self._frames([check(data)], now)
        except Late:
            raise
        except C37Error:
            self._counters["malformed"] += 1
            return []

    def _frames(self, frames: list[bytes], now: float) -> list[Event]:
        events: list[Event] = []
        data: list[bytes] = []
        for frame in frames:
            kind = frame[1] >> 4 & 7
            if frame[4] << 8 | frame[5] != self._plan.id:
                self._of_another(frame[4] << 8 | frame[5], events)
            elif kind == FrameType.DATA:
                data.append(frame)
            elif kind == self._plan.configuration:
                self._data(data, now, events)
                data = []
                self._configure(frame, now, events)
        self._data(data, now, events)
        return events

    def _of_another(self, idcode: int, events: list[Event]) -> None:
        self._counters["wrong_id"] += 1
        if idcode not in self._foreign and len(self._foreign) < 8:
            self._foreign.add(idcode)
            events.append(Foreign(idcode))

    # -- configuration ------------------------------------------------------------------------------------------

    def _configure(self, frame: bytes, now: float, events: list[Event]) -> None:
        found = self._assembler.take(frame)
        if found is None:
            return
        self._asked_at = -1e9
        self._counters["configurations"] += 1
        before = self._decoder
        if before is None or before.configuration != found:
            self._adopt(found, first=before is None, events=events)
        if self.phase is Phase.CONFIGURING:
            self.phase = Phase.WAITING
            self.deadline = now + self._patience_s()
            if self._plan.url.commanded:
                events.append(self._command(Command.DATA_ON))

    def _adopt(self, found: Configuration, *, first: bool, events: list[Event]) -> None:
        self.remember()
        self._decoder = Decoder(found, self._plan.bindings, self._known)
        self._sequence = Sequence(found.period_s, self._counters)
        self._changing, self._least_lag_s, self._late_since = None, None, None
        self._counters["channels_missing"] = len(self._decoder.missing)
        events.append(Configured(found, self._decoder.missing, first))

    def _ask_again(self, now: float, events: list[Event]) -> None:
        """The configuration changes or does not fit the data: ask, but not faster than answers may come."""
        if self._plan.url.commanded and now - self._asked_at > self._plan.timeout_s:
            self._asked_at = now
            events.append(self._command(REQUEST[self._plan.configuration]))

    # -- data ---------------------------------------------------------------------------------------------------

    def _data(self, frames: Frames[bytes], now: float, events: list[Event]) -> None:
        decoder = self._decoder
        if not frames:
            return
        self._counters["frames"] += len(frames)
        if decoder is None or self._sequence is None:
            self._counters["unconfigured"] += len(frames)
            return
        fitting = [frame for frame in frames if len(frame) == decoder.frame_size]
        if len(fitting) < len(frames):
            self._counters["wrong_size"] += len(frames) - len(fitting)
            self._ask_again(now, events)
        taken = [frame for frame in fitting if self._sequence.takes(decoder.time_ns(frame))]
        if not taken:
            return
        batch, stats = decoder.decode(taken)
        if self._is_late(batch.times_ns[-1], now):
            batch.qualities[:] |= _NOT_TOPICAL
        self.phase = Phase.STREAMING
        self.deadline = now + self._patience_s()
        self._watch_changes(stats, now, events)
        events.append((decoder, batch))

    def _watch_changes(
        self, stats: np.ndarray[tuple[int, int], np.dtype[np.uint16]], now: float, events: list[Event]
    ) -> None:
        """A PMU says for a minute that its configuration is about to change, and stops when it has changed."""
        changing = stats[-1] & STAT_CONFIG_CHANGE
        before, self._changing = self._changing, changing
        if before is None:
            if changing.any():
                self._ask_again(now, events)
        elif (changing != before).any():
            self._asked_at = -1e9
            self._ask_again(now, events)

    def _is_late(self, time_ns: int, now: float) -> bool:
        """Compare the delay with the least seen, so that no two clocks have to agree. Raises `Late` if it stays so.

        A pause of this machine brings late frames too, but all at once.
        """
        lag_s = now - time_ns * 1e-9
        if self._least_lag_s is None or lag_s < self._least_lag_s:
            self._least_lag_s = lag_s
        behind_s = lag_s - self._least_lag_s
        if behind_s <= self._patience_s():
            self._late_since = None
            return False
        if self._late_since is None:
            self._late_since = now
        elif now - self._late_since > self._patience_s() / 2:
            self._least_lag_s, self._late_since = None, None
            self._counters["late"] += 1
            raise Late(f"frames come {behind_s:.1f} s later than they did")
        return True

    def _patience_s(self) -> float:
        period_s = self._decoder.configuration.period_s if self._decoder is not None else 0.0
        return max(self._plan.timeout_s, _PERIODS * period_s)

    # -- silence ------------------------------------------------------------------------------------------------

    def overdue(self, now: float) -> str:
        """Why it is silent, in words; the next deadline is set. Call when `deadline` has passed."""
        self._counters["timeouts"] += 1
        patience_s = self._patience_s()
        self.deadline = now + patience_s
        if self.phase is Phase.CONFIGURING:
            return self._unconfigured()
        waiting, self.phase = self.phase, Phase.WAITING
        if waiting is Phase.WAITING:
            return f"the configuration came, but no data frame within {patience_s:g} s"
        return f"no data frame for {patience_s:g} s"

    def _unconfigured(self) -> str:
        wanted = self._plan.configuration.name.replace("CFG", "CFG-")
        if self._foreign:
            ids = ", ".join(str(each) for each in sorted(self._foreign))
            return f"frames come, but with id {ids} instead of {self._plan.id}"
        if not self._plan.url.commanded:
            if self._counters["unconfigured"]:
                return "data frames come, but no configuration frame yet (PMUs send it about once a minute)"
            return f"nothing heard for {self._plan.timeout_s:g} s"
        older = "; older devices know cfg 2 only" if self._plan.configuration is FrameType.CFG3 else ""
        return f"no {wanted} from id {self._plan.id} within {self._plan.timeout_s:g} s{older}"
