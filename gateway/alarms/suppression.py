"""Suppression by design: expressions over points that keep alarms out of sight. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.model import AlarmRecord
from gateway.points.change import Qualities, Rows, Values
from gateway.points.expression import Expression
from gateway.points.quality import UNUSABLE

_UNUSABLE = np.uint32(UNUSABLE)


class Suppressions:
    """Which expressions hold. One whose inputs may not be used does not: in doubt an alarm is shown."""

    def __init__(self, alarms: AlarmCatalogue) -> None:
        self._of_alarm = alarms.suppression
        self._expressions = alarms.suppressions
        self._holds = [False] * len(self._expressions)
        self._read: NDArray[np.bool_] = np.zeros(len(alarms.points), np.bool_)
        self._readers: dict[int, list[int]] = {}
        for number, expression in enumerate(self._expressions):
            self._read[expression.inputs] = True
            for row in expression.inputs.tolist():
                self._readers.setdefault(row, []).append(number)
        self._alarms_of = np.bincount(self._of_alarm[self._of_alarm >= 0], minlength=len(self._expressions))

    @property
    def count(self) -> int:
        """Alarms whose expression holds."""
        return int(self._alarms_of[self._holds].sum()) if any(self._holds) else 0

    def holds(self, index: int) -> bool:
        """Whether this alarm is not to be shown if it comes now."""
        number = int(self._of_alarm[index])
        return number >= 0 and self._holds[number]

    def restore(self, record: AlarmRecord) -> None:
        """What was suppressed before a restart is, until its expression says otherwise."""
        number = int(self._of_alarm[record.index])
        if record.suppressed and number >= 0:
            self._holds[number] = True

    def lifted(self, rows: Rows, value: Values, quality: Qualities, records: Mapping[int, AlarmRecord]) -> list[int]:
        """Evaluate what reads these rows; the suppressed alarms that are to be shown now."""
        if not self._expressions:
            return []
        read = rows[self._read[rows]]
        if not len(read):
            return []
        over: set[int] = set()
        for number in sorted({number for row in set(read.tolist()) for number in self._readers[row]}):
            before = self._holds[number]
            self._holds[number] = _true(self._expressions[number], value, quality)
            if before and not self._holds[number]:
                over.add(number)
        if not over:
            return []
        return [at for at, record in records.items() if record.suppressed and int(self._of_alarm[at]) in over]


def _true(expression: Expression, value: Values, quality: Qualities) -> bool:
    good = (quality[expression.inputs] & _UNUSABLE) == 0
    if not (good | expression.guarded).all():
        return False
    result = expression.evaluate(value[expression.inputs], good)
    return not math.isnan(result) and result != 0
