"""One clause of a droop test against what the unit did. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.control.frequency.profiles import Clause


@dataclass(frozen=True, slots=True)
class ClauseVerdict:
    """`worst_percent`: the change of power furthest from what was wanted, in % of rated power."""

    clause: str
    passed: bool
    worst_percent: float
    words: str


def judge(clause: Clause, samples: Sequence[tuple[float, float]], expected_percent: float) -> ClauseVerdict:
    """`samples`: (s since the frequency was shown, change of power in % of rated), in order.

    `expected_percent` is what the settings ask for at this frequency. From `within_s` on every sample must hold.
    """
    late = [percent for at_s, percent in samples if at_s >= clause.within_s]
    if not late:
        return ClauseVerdict(clause.clause, False, 0.0, "no power was measured in time")
    sign = -1.0 if expected_percent < 0 else 1.0
    checks = []
    if clause.tolerance_percent is not None:
        worst = max(late, key=lambda percent: abs(percent - expected_percent))
        off = abs(worst - expected_percent)
        words = f"{worst:+.1f} % where {expected_percent:+.1f} % were expected, {clause.tolerance_percent:g} % allowed"
        checks.append((off <= clause.tolerance_percent, worst, words))
    if clause.at_least_percent is not None:
        worst = min(late, key=lambda percent: sign * percent)
        words = f"{sign * worst:.1f} % in the direction of the response, at least {clause.at_least_percent:g} % wanted"
        checks.append((sign * worst >= clause.at_least_percent, worst, words))
    if clause.at_most_percent is not None:
        worst = max(late, key=abs)
        words = f"{abs(worst):.1f} %, at most {clause.at_most_percent:g} % allowed"
        checks.append((abs(worst) <= clause.at_most_percent, worst, words))
    if not checks:
        return ClauseVerdict(clause.clause, False, 0.0, "the clause says nothing that could be checked")
    failed = next((check for check in checks if not check[0]), None)
    passed, worst, words = failed or checks[0]
    return ClauseVerdict(clause.clause, passed, worst, words)
