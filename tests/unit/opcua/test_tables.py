"""Quality, command results and units: total tables, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from gateway.contracts import Reason
from gateway.points import ALL_FLAGS, Quality
from protocols.opcua.commandcodes import CODES
from protocols.opcua.quality import ORDER, status_codes
from protocols.opcua.uastack import Codes, ua
from protocols.opcua.units import unit, unit_id

README = (Path(__file__).parents[3] / "protocols" / "opcua" / "README.md").read_text(encoding="utf-8")


def name_of(code: int) -> str:
    return str(ua.status_codes.get_name_and_doc(code)[0])


def test_every_combination_of_flags_has_a_code_and_nothing_doubtful_is_good() -> None:
    flags = np.arange(int(ALL_FLAGS) + 1, dtype=np.uint32)
    codes = status_codes(flags)
    harmless = int(Quality.LOCAL_FORCED | Quality.TIME_INVALID)
    assert ((codes >> 30 == 0) == (flags & ~np.uint32(harmless) == 0)).all()
    assert set(ORDER) == set(Quality)


@pytest.mark.parametrize(
    ("quality", "word"),
    [
        (Quality(0), "Good"),
        (Quality.NEVER_REPORTED, "BadWaitingForInitialData"),
        (Quality.NEVER_REPORTED | Quality.COMM_LOST, "BadNoCommunication"),
        (Quality.COMM_LOST, "UncertainNoCommunicationLastUsableValue"),
        (Quality.NOT_TOPICAL, "UncertainLastUsableValue"),
        (Quality.COMM_LOST | Quality.SUBSTITUTED, "UncertainSubstituteValue"),
        (Quality.INVALID | Quality.NOT_TOPICAL, "BadDeviceFailure"),
        (Quality.OVER_RANGE, "UncertainEngineeringUnitsExceeded"),
        (Quality.LOCAL_FORCED, "GoodLocalOverride"),
    ],
)
def test_what_a_client_hears_of_a_quality(quality: Quality, word: str) -> None:
    assert name_of(int(status_codes(np.array([quality], np.uint32))[0])) == word


def test_every_reason_has_a_code_and_only_success_is_good() -> None:
    assert set(CODES) == set(Reason)
    assert [reason for reason, code in CODES.items() if code == Codes.Good] == [Reason.OK]


def test_the_readme_shows_both_tables() -> None:
    values, outcomes = README.partition("## Writes and methods")[::2]
    rows = dict(re.findall(r"^\| ([a-z' ]+) \| `(\w+)`", values, re.MULTILINE))
    for flag, code in ORDER.items():
        assert rows[str(flag.name).lower().replace("_", " ")] == name_of(code)
    rows = dict(re.findall(r"^\| ([a-z', ]+) \| `(\w+)`", outcomes, re.MULTILINE))
    for reason, code in CODES.items():
        assert rows[str(reason)] == name_of(code)


@pytest.mark.parametrize(
    ("text", "code"), [("kW", "KWT"), ("kvar", "KVR"), ("V", "VLT"), ("%", "P1"), ("°C", "CEL"), ("Hz", "HTZ")]
)
def test_units_have_their_unece_number(text: str, code: str) -> None:
    found = unit(text)
    assert (found.text, found.unit_id) == (text, unit_id(code))
    assert found.uri.endswith("cefact")


def test_the_number_of_a_code_is_made_of_its_octets() -> None:
    assert unit_id("KWT") == 0x4B5754 and unit_id("P1") == 0x5031


def test_an_unknown_unit_stays_what_it_is() -> None:
    found = unit("widgets")
    assert (found.text, found.unit_id, found.uri) == ("widgets", -1, "")
