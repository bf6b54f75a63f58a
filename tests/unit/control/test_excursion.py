"""The event recorder and what an excursion is worth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from gateway.control.evidence.analysis import Findings, Grounds, analyse
from gateway.control.evidence.excursion import Excursion, ExcursionRecorder, Sample, as_samples
from gateway.control.evidence.files import KEPT, ExcursionFileError, StoredExcursion, load, save
from gateway.control.evidence.report import write_report
from gateway.control.frequency.curve import Band, no_step

BAND = Band(49.97, 50.03)
GROUNDS = Grounds(band=BAND, nominal_hz=50.0, rated_kw=1000.0, counted_from_hz=(49.97, 50.03))
CURVE = no_step(50.0, 5.0, BAND)
CYCLE_S = 0.02


def plant(frequencies: list[float], base_kw: float = 200.0, lag_s: float = 0.3, dead_s: float = 0.1) -> list[Sample]:
    """A plant that follows what is expected with a dead time and a lag, 7 kW of auxiliaries beside it."""
    expected = [base_kw + CURVE(frequency) * 10 for frequency in frequencies]
    measured, power_kw = [], base_kw
    for number in range(len(frequencies)):
        wanted = expected[max(0, number - round(dead_s / CYCLE_S))]
        power_kw += (wanted - power_kw) * CYCLE_S / lag_s
        measured.append(power_kw - 7.0)
    return [
        (
            round(number * CYCLE_S * 1e9),
            frequencies[number],
            base_kw,
            expected[number],
            expected[number],
            measured[number],
        )
        for number in range(len(frequencies))
    ]


def recorded(samples: list[Sample], recorder: ExcursionRecorder) -> list[Excursion]:
    out = []
    for sample in samples:
        found = recorder.step(sample[0] / 1e9, sample, not BAND.holds(sample[1]))
        if found is not None:
            out.append(found)
    return out


def test_ten_seconds_before_and_sixty_after() -> None:
    frequencies = [50.0] * 1500 + [49.7] * 250 + [50.0] * 4000
    [excursion] = recorded(plant(frequencies), ExcursionRecorder("bess1"))
    time_s = excursion.samples["time_ns"] / 1e9
    assert time_s[0] == pytest.approx(20.0, abs=CYCLE_S)
    assert time_s[-1] == pytest.approx(30.0 + 4.98 + 60.0, abs=2 * CYCLE_S)


def test_a_second_dip_within_the_minute_is_the_same_excursion_and_the_next_has_its_own() -> None:
    quiet, dip = [50.0] * 1000, [49.7] * 100
    frequencies = quiet + dip + quiet + dip + quiet * 4 + dip + quiet * 4
    found = recorded(plant(frequencies), ExcursionRecorder("bess1"))
    assert len(found) == 2
    assert (found[0].samples["frequency_hz"] == 49.7).sum() == 200


def test_a_long_one_is_cut_and_says_so() -> None:
    found = recorded(plant([50.0] * 600 + [49.7] * 4000), ExcursionRecorder("bess1", longest_s=30.0))
    assert [excursion.continues for excursion in found] == [True, True]
    before, after = found[0].samples["time_ns"][-1], found[1].samples["time_ns"][0]
    assert after <= before + 2 * CYCLE_S * 1e9, "nothing between the two is missing"


def test_a_stop_gives_what_there_is() -> None:
    recorder = ExcursionRecorder("bess1")
    assert recorder.stop() is None
    recorded(plant([50.0] * 100 + [49.7] * 100), recorder)
    left = recorder.stop()
    assert left is not None
    assert len(left.samples) == 200


def findings(frequencies: list[float], **more: float) -> Findings:
    return analyse(Excursion("bess1", as_samples(plant(frequencies, **more))), GROUNDS)


def test_a_step_of_three_tenths_of_a_hertz() -> None:
    found = findings([50.0] * 500 + [49.7] * 1500 + [50.0] * 500)
    assert found.largest_expected_kw == pytest.approx(108.0)
    assert found.reaction_s == pytest.approx(0.12, abs=0.03)
    assert found.to_90_percent_s == pytest.approx(0.1 + 0.3 * math.log(10), abs=0.05)
    assert found.droop_percent == pytest.approx(5.0, rel=0.01)
    assert found.duration_s == pytest.approx(30.0, abs=0.05)
    assert found.expected_kwh == pytest.approx(108 * 30 / 3600, rel=0.01)
    assert found.delivered_percent == pytest.approx(100 * (30 - 0.4) / 30, abs=0.5)


def test_a_plant_set_to_another_droop_is_found_out() -> None:
    other = no_step(50.0, 3.7, BAND)
    samples = [
        (time_ns, hz, base, expected, setpoint, base + other(hz) * 10)
        for time_ns, hz, base, expected, setpoint, _ in plant([50.0] * 100 + [49.7] * 500)
    ]
    assert analyse(Excursion("bess1", as_samples(samples)), GROUNDS).droop_percent == pytest.approx(3.7, rel=0.01)


def test_what_was_not_measured_makes_no_finding() -> None:
    samples = [(*sample[:5], math.nan) for sample in plant([50.0] * 100 + [49.7] * 500)]
    found = analyse(Excursion("bess1", as_samples(samples)), GROUNDS)
    assert math.isnan(found.reaction_s)
    assert math.isnan(found.droop_percent)
    assert found.delivered_kwh == 0.0


def test_a_real_looking_trace_delivers_what_is_expected_within_one_percent() -> None:
    """An hour of Ornstein-Uhlenbeck frequency about 50 Hz, standard deviation 60 mHz, time constant 60 s; and a unit
    that follows within a few cycles."""
    random = np.random.default_rng(7)
    frequency, trace = 50.0, []
    for _ in range(180_000):
        frequency += (50.0 - frequency) * CYCLE_S / 60 + 0.06 * math.sqrt(2 * CYCLE_S / 60) * random.standard_normal()
        trace.append(frequency)
    samples = as_samples(plant(trace, lag_s=0.1, dead_s=0.02))
    found = analyse(Excursion("bess1", samples), GROUNDS)
    gross = np.abs(samples["expected_kw"] - samples["base_kw"]).sum() * CYCLE_S / 3600
    assert gross > 5
    assert abs(found.delivered_kwh - found.expected_kwh) < 0.01 * gross


# -- on disk and on paper ---------------------------------------------------------------------------------------------


def stored() -> StoredExcursion:
    samples = as_samples(plant([50.0] * 500 + [49.7] * 1500 + [50.0] * 500))
    return StoredExcursion(Excursion("bess1", samples, test=True), GROUNDS, {"droop_percent": 5.0}, "ab12")


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    path = save(tmp_path / "excursions", stored())
    assert path.name == "19700101T000000-bess1-test.npz"
    assert path.stat().st_mode & 0o777 == 0o600
    back = load(path)
    assert back.grounds == GROUNDS
    assert (back.settings, back.attestation, back.excursion.test) == ({"droop_percent": 5.0}, "ab12", True)
    np.testing.assert_array_equal(back.excursion.samples, stored().excursion.samples)


def test_the_oldest_files_go_first(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        (tmp_path / f"2020{number:06d}-bess1.npz").touch()
    save(tmp_path, stored())
    assert len(list(tmp_path.glob("*.npz"))) == KEPT
    assert not (tmp_path / "2020000000-bess1.npz").exists()


@pytest.mark.parametrize("cut", [0, 100, -20])
def test_a_broken_file_is_told(tmp_path: Path, cut: int) -> None:
    path = save(tmp_path, stored())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ExcursionFileError, match="cannot be read"):
        load(path)


def test_the_report_says_what_was_found(tmp_path: Path) -> None:
    page = write_report(tmp_path / "report.html", stored(), "kurnool").read_text()
    assert "<td>droop seen</td><td>5.00 %</td>" in page
    assert "TEST: the frequency was a synthetic one" in page
    assert page.count("<svg") == 2
    assert "<td>droop_percent</td><td>5.0</td>" in page
    assert "ab12" in page
