"""The package's README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from protocols.iec104.commands import COMMAND_TYPES
from protocols.iec104.elements import TYPES
from protocols.iec104.requests import SERVICES
from protocols.iec104.settings import Iec104MasterSettings, Iec104Row, Iec104ServerSettings

README = (Path(__file__).parents[3] / "protocols" / "iec104" / "README.md").read_text()


def listed(direction: str) -> set[str]:
    line = next(line for line in README.splitlines() if line.startswith(f"| {direction}"))
    return set(re.findall(r"[A-Z]_[A-Z]{2}_[A-Z]{2}_1", line))


def test_the_types_listed_are_the_types_served() -> None:
    points = {row.name for row in TYPES.values() if row.element.encode is not None}
    commands = {TYPES[type_id].name for type_id in COMMAND_TYPES}
    served = {TYPES[type_id].name for type_id in SERVICES}
    parameters = {name for name in served if name.startswith("P_")}
    assert listed("points") == points
    assert listed("commands") == commands
    assert listed("system") == served - commands - parameters
    assert listed("parameters") == parameters
    assert listed("sent by itself") == {row.name for row in TYPES.values()} - points - served


def test_every_key_and_column_is_told() -> None:
    for model in (Iec104ServerSettings, Iec104MasterSettings, Iec104Row):
        for name in model.model_fields:
            assert f"`{name}" in README or f"{name}," in README or f", {name}" in README, name
