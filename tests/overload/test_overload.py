"""A short overload in every run of the tests: what must hold whatever the machine does meanwhile."""

from __future__ import annotations

from pathlib import Path

from tests.overload import judge, report
from tests.overload.run import Outcome, run
from tests.overload.site import Scale

SMALL = Scale(devices=4, registers=500, scan_ms=500, dnp3_points=1000, capacity=1000, connections=100)


def test_what_is_shed_is_counted_and_told_and_control_goes_on(tmp_path: Path) -> None:
    """A flood, journals that run over, a master that reads a byte a second, a crowd at every door."""
    outcome = run(tmp_path, SMALL, seconds=6.0, quiet_s=2.0)
    found = judge.findings(outcome, timing=False)
    page = report.write(tmp_path / "report", outcome, found, "make test").read_text()
    assert not found, page
    assert outcome.newest("system/server/sldc/refused") > 0
    _a_lost_event_that_nobody_counted_is_found(outcome)


def _a_lost_event_that_nobody_counted_is_found(outcome: Outcome) -> None:
    """The judge can fail: the same run, with one event fewer in the master's hands than there were."""
    outcome.told["104 main"]["events"] -= 1
    assert any("104 main: 1 changes were not told" in words for words in judge.findings(outcome, timing=False))
