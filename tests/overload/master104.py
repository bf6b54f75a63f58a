"""An IEC 104 master in a process of its own: keeps up, writes down what it is told, commands once a second.

``python -m tests.overload.master104 SITE.json SOURCE [commands]`` prints ``{"ready": true}`` when data
transfer has started. At each line ``now`` of its input it prints what it was told so far (see `Told.summary`), with
``system``: by point of the gateway [[at_ns, value], ...], and ``commands``: [[sent_ns, ms or null, answer], ...].
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any, Final

import numpy as np

from bench import master104
from tests.overload.site import AUX_IOA, BASE_IOA, SYSTEM_IOA, SYSTEM_POINTS, OverloadSite
from tests.overload.told import Told

M_SP_NA_1, M_SP_TB_1 = 1, 30
COMMAND_EVERY_S: Final = 1.0
SETTLE_S: Final = 2.0
"""Before the first command."""
TAKE_EVERY_S: Final = 0.5
NEGATIVE: Final = 0x40


class Desk:
    """One master's notes."""

    def __init__(self, points: int) -> None:
        self.told = Told(points)
        self.system: dict[str, list[tuple[int, float]]] = {}
        self.commands: list[tuple[int, float | None, str]] = []
        self.sent_ns = 0
        self.confirmed = ""
        self._waiting: list[master104.Values] = []

    def values(self, values: master104.Values) -> None:
        """Measured values: kept, looked at now and then, many at once."""
        if values.cause == master104.SPONTANEOUS:
            self._waiting.append(values)
            return
        for ioa, value in zip(values.ioas.tolist(), values.values.tolist(), strict=True):
            self._note(ioa, value, values.time_ns)

    def other(self, kind: int, cause: int, asdu: bytes, now_ns: int) -> None:
        """Single points, and the answers to commands."""
        if kind in (M_SP_NA_1, M_SP_TB_1):
            size = 4 if kind == M_SP_NA_1 else 11
            for at in range(6, 6 + size * (asdu[1] & 0x7F), size):
                self._note(int.from_bytes(asdu[at : at + 3], "little"), float(asdu[at + 3] & 1), now_ns)
        elif kind == master104.C_SE_NC_1 and cause == master104.ACTIVATION_CON:
            self.confirmed = "refused" if asdu[2] & NEGATIVE else "confirmed"
            if self.confirmed == "refused":
                self._answered(now_ns, "refused")
        elif kind == master104.C_SE_NC_1 and cause == master104.ACTIVATION_TERM:
            self._answered(now_ns, "failed" if asdu[2] & NEGATIVE else "done")

    def _answered(self, now_ns: int, answer: str) -> None:
        if self.sent_ns:
            self.commands.append((self.sent_ns, (now_ns - self.sent_ns) / 1e6, answer))
            self.sent_ns = 0

    def _note(self, ioa: int, value: float, now_ns: int) -> None:
        number = ioa - SYSTEM_IOA
        if 0 <= number < len(SYSTEM_POINTS):
            self.system.setdefault(SYSTEM_POINTS[number], []).append((now_ns, value))

    def take(self) -> None:
        """Look at what came since the last time."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        ioas = np.concatenate([values.ioas for values in waiting])
        values = np.concatenate([each.values for each in waiting]).astype(np.float64)
        qualities = np.concatenate([each.qualities for each in waiting]).astype(np.int64)
        flooded = ioas <= self.told.points
        self.told.take(ioas[flooded] - 1, values[flooded].astype(np.int64), qualities[flooded])
        now_ns = waiting[-1].time_ns
        for ioa, value in zip(ioas[~flooded].tolist(), values[~flooded].tolist(), strict=True):
            self._note(ioa, value, now_ns)

    def summary(self) -> dict[str, Any]:
        """Everything so far."""
        self.take()
        unanswered = [(self.sent_ns, None, "none")] if self.sent_ns else []
        return self.told.summary() | {"system": self.system, "commands": [*self.commands, *unanswered]}


def main() -> None:
    """Until the input ends."""
    site, source, commands = OverloadSite.load(sys.argv[1]), sys.argv[2], "commands" in sys.argv[3:]
    desk = Desk(site.scale.points)
    with master104.connect(site.iec104, 60.0, source=source) as master:
        master.on_values, master.on_other = desk.values, desk.other
        master.start(30.0)
        master.interrogate()
        print(json.dumps({"ready": True}), flush=True)
        _run(desk, master, commands)


def _run(desk: Desk, master: master104.Master, commands: bool) -> None:
    value, take_at, command_at = 0.0, 0.0, time.monotonic() + SETTLE_S
    based = not commands
    while True:
        ready = select.select([master.connection, 0], [], [], 0.1)[0]
        if master.connection in ready:
            master._take()
        now = time.monotonic()
        if now >= take_at:
            take_at = now + TAKE_EVERY_S
            desk.take()
        if not based and now >= command_at:
            based, command_at = True, now + COMMAND_EVERY_S
            master.set_point(BASE_IOA, 0.0)
        elif commands and now >= command_at and not desk.sent_ns:
            command_at, value = now + COMMAND_EVERY_S, (value + 1.0) % 1000.0
            desk.sent_ns = master.set_point(AUX_IOA, value)
        if 0 in ready:
            if not os.read(0, 4096):
                return
            print(json.dumps(desk.summary()), flush=True)


if __name__ == "__main__":
    main()
