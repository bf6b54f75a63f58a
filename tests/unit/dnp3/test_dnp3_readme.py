"""The package's README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from protocols.dnp3.function import Function
from protocols.dnp3.objecttable import OBJECTS
from protocols.dnp3.pointtypes import TYPES
from protocols.dnp3.requests import HANDLERS
from protocols.dnp3.settings import Dnp3MasterSettings, Dnp3Row, Dnp3ServerSettings, UnsolicitedSettings

FOLDER = Path(__file__).parents[3] / "protocols" / "dnp3"
README = (FOLDER / "README.md").read_text()


def variations(group: int) -> str:
    known = sorted(variation for found, variation in OBJECTS if found == group)
    return f"g{group}v{known[0]} " + " ".join(f"v{variation}" for variation in known[1:])


def test_the_table_of_objects_is_the_codes() -> None:
    for row in TYPES.values():
        (line,) = (line for line in README.splitlines() if line.startswith(f"| {row.type.name} |"))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert set(cells[1].split(", ")) == {kind.word for kind in row.kinds}
        assert cells[2:6] == [
            variations(row.static_group),
            f"g{row.static_group}v{row.static}",
            variations(row.event_group),
            f"g{row.event_group}v{row.event}",
        ]
        assert cells[6] == (variations(row.command_event) if row.command_event else "")


def test_the_functions_listed_are_those_carried_out() -> None:
    section = README.split("## Functions")[1].split("##")[0]
    listed = {
        int(code)
        for line in section.splitlines()
        for code in re.findall(r"^\| ([\d ]+) \|", line)
        for code in code.split()
    }
    assert listed == {int(code) for code in HANDLERS} | {int(Function.CONFIRM)}


def test_every_key_and_column_is_told() -> None:
    for model in (Dnp3ServerSettings, Dnp3MasterSettings, Dnp3Row, UnsolicitedSettings):
        for name, info in model.model_fields.items():
            assert re.search(rf"\b{info.alias or name}\b", README), name


def test_every_module_of_ours_is_told() -> None:
    files = README.split("## Files")[1]
    for name in (
        "database",
        "eventstore",
        "reads",
        "responses",
        "control",
        "freeze",
        "outstation",
        "session",
        "memory",
    ):
        assert f"`{name}`" in files and (FOLDER / f"{name}.py").exists()
