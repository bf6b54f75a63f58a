"""What an interlock looks at: one or several conditions over points, and the vote among them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.control.image import Image
from gateway.points.expression import Expression

_QUALITY: Final = re.compile(r"\bquality\(\s*([^()\s]+)\s*\)\s*(!=|==)\s*good\b")
_WRITTEN: Final = {"!=": "(not good({0}))", "==": "(good({0}) == 1)"}


def compile_condition(text: str, rows: Mapping[str, int]) -> Condition:
    """One condition of `when`; ``quality(point) != good`` is understood. Raises `ExpressionError`."""
    return Condition(Expression(_QUALITY.sub(lambda match: _WRITTEN[match[2]].format(match[1]), text), rows))


class Condition:
    """One compiled condition."""

    __slots__ = ("_guarded", "expression", "rows")

    def __init__(self, expression: Expression) -> None:
        self.expression = expression
        self.rows: list[int] = [int(row) for row in expression.inputs]
        self._guarded: list[bool] = expression.guarded.tolist()

    def __reduce__(self) -> tuple[type[Condition], tuple[Expression]]:
        return Condition, (self.expression,)

    def look(self, image: Image) -> bool | None:
        """True, False, or None: an input is not fit for a decision, or the condition has no value."""
        slots = image.slots
        at = [slots[row] for row in self.rows]
        good = [image.usable[slot] for slot in at]
        if not all(fit or guarded for fit, guarded in zip(good, self._guarded, strict=True)):
            return None
        values = np.array([image.values[slot] for slot in at])
        result = self.expression.evaluate(values, np.array(good, np.bool_))
        return None if math.isnan(result) else result != 0

    def unreported(self, image: Image) -> bool:
        """Whether an input has had no value at all since the start."""
        return any(image.never[image.slots[row]] for row in self.rows)


@dataclass(frozen=True, slots=True)
class Vote:
    """`need` of `of` must hold: 2oo3."""

    need: int
    of: int

    def count(self, answers: Sequence[bool | None]) -> bool | None:
        """The vote's answer; None when no input is left.

        A bad one takes itself out and lowers what is needed by one, to one at least: 2oo3 becomes 1oo2, then 1oo1.
        So a lost sensor makes a trip likelier, never less likely, and never makes one by itself.
        """
        bad = sum(answer is None for answer in answers)
        if bad == self.of:
            return None
        return sum(answer is True for answer in answers) >= max(1, self.need - bad)
