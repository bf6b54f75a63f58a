"""The security page leaves no requirement out, and names only tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "gateway" / "SECURITY.md").read_text()
SL2 = {
    1: (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 14),
    2: (1, 2, 5, 6, 8, 9, 10, 11, 12),
    3: (1, 3, 4, 5, 6, 7, 8, 9),
    4: (1, 2, 3),
    5: (1,),
    6: (1, 2),
    7: (1, 2, 3, 4, 6, 7, 8),
}
"""Component requirements of each foundational requirement at SL-C 2."""
STATES = {"met", "partly", "operator", "not met", "not applicable"}


def rows() -> dict[str, list[str]]:
    """Requirement -> state, how, tests."""
    found = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if match := re.match(r"(CR|SAR) (\d\.\d+) ", cells[0]):
            found[f"{match[1]} {match[2]}"] = cells[1:]
    return found


def test_every_requirement_has_a_row_with_a_state():
    expected = {f"CR {first}.{second}" for first, seconds in SL2.items() for second in seconds}
    assert set(rows()) == expected | {"SAR 2.4", "SAR 3.2"}
    for name, (state, how, _) in rows().items():
        assert state in STATES, name
        assert how, name


def test_what_is_met_names_its_tests_and_they_are_there():
    for name, (state, _, tests) in rows().items():
        files = re.findall(r"`(tests/[^`]+)`", tests)
        assert files or state != "met", f"{name} is said to be met: by which test?"
        assert [file for file in files if not (ROOT / file).is_file()] == [], name
