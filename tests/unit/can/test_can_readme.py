"""The README of the package names what the code takes, and the driver loads no more than it needs."""

from __future__ import annotations

import subprocess
import sys

from gateway.contracts.settings import DeviceRow, DeviceSettings
from protocols.can.checksum import METHODS
from protocols.can.client import _LISTEN_ONLY
from protocols.can.driver import _FIGURES
from protocols.can.settings import CanDevice, CanRow, TransmitSettings
from tests.kit.cankit import ROOT

README = (ROOT / "protocols" / "can" / "README.md").read_text()


def test_every_key_column_and_method_is_named() -> None:
    keys = (set(CanDevice.model_fields) - set(DeviceSettings.model_fields)) | set(TransmitSettings.model_fields)
    columns = set(CanRow.model_fields) - set(DeviceRow.model_fields)
    missing = {name for name in keys | columns | set(METHODS) if f"`{name}`" not in README}
    assert missing == set()


def test_every_interface_that_is_made_silent_is_named() -> None:
    assert all(name in README for name in _LISTEN_ONLY)


def test_figures_that_are_named_are_kept() -> None:
    trouble = README.split("## How trouble looks")[1].split("##")[0]
    words = {word.strip("`") for word in trouble.replace(",", " ").split() if word.startswith("`")}
    kept = {*_FIGURES, "unknown_frames", "unknown_multiplexer", "short_frames", "long_frames"}
    assert words - kept - {"max_age_s", "silent_ms"} == set()


def test_a_running_driver_needs_no_dbc_parser_and_no_validation() -> None:
    program = "import sys, protocols.can.driver; print([m for m in ('cantools', 'pydantic') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
