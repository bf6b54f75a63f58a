"""What a unit may do: rating, state of charge, temperature, reserve, ramps, recovery."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.envelope import Envelope, EnvelopeSettings, envelope
from gateway.control.frequency.curve import Curve
from gateway.control.ramp import RampLimit
from gateway.control.recovery import RecoverySettings, SocRecovery
from gateway.control.socgate import SocGate

UNIT = EnvelopeSettings(discharge_kw=1000, charge_kw=800, capacity_kwh=2000)


def limits(found: Envelope) -> tuple[float, float]:
    return found.low_kw, found.high_kw


@pytest.mark.parametrize(
    ("soc_percent", "low_kw", "high_kw"),
    [(50, -800, 1000), (20, -800, 0), (19, -800, 0), (20.1, -800, 1000), (95, 0, 1000), (99, 0, 1000)],
)
def test_floor_and_ceiling(soc_percent: float, low_kw: float, high_kw: float) -> None:
    assert limits(envelope(UNIT, soc_percent, None)) == (low_kw, high_kw)


def test_without_the_state_of_charge_nothing() -> None:
    found = envelope(UNIT, None, 20)
    assert limits(found) == (0, 0)
    assert found.reasons == ("state of charge not known",)


def test_derating_by_temperature_and_by_state_of_charge() -> None:
    derated = replace(
        UNIT,
        discharge_over_soc=Curve.of([(20, 0), (30, 100)]),
        power_over_temperature=Curve.of([(45, 100), (55, 50), (60, 0)]),
    )
    assert limits(envelope(derated, 25, 20)) == (-800, 500)
    assert limits(envelope(derated, 50, 50)) == (-600, 750)
    assert limits(envelope(derated, 50, 65)) == (0, 0)
    assert limits(envelope(derated, 50, None)) == (0, 0)


def test_the_reserve_is_for_the_response_not_for_set_points() -> None:
    """15 min at 1,000 kW are 250 kWh: 12.5 % of 2,000 kWh above the floor of 20 %."""
    reserved = replace(UNIT, reserve_s=900)
    found = envelope(reserved, 32.5, None)
    assert (found.base_high_kw, found.high_kw) == (0, 1000)
    found = envelope(reserved, 35.0, None)
    assert found.base_high_kw == pytest.approx(200)  # 50 kWh above the reserve, to last 15 min
    assert envelope(reserved, 60, None).base_high_kw == 1000


def test_headroom() -> None:
    found = envelope(UNIT, 50, None)
    assert (found.headroom_up_kw(300), found.headroom_down_kw(300)) == (700, 1100)
    assert found.headroom_up_kw(1200) == 0


@given(st.one_of(st.none(), st.floats(0, 100)), st.one_of(st.none(), st.floats(-40, 90)))
def test_limits_hold_zero_and_never_cross_the_floor(soc: float | None, temperature: float | None) -> None:
    settings = replace(
        UNIT,
        reserve_s=900,
        power_over_temperature=Curve.of([(45, 100), (60, 0)]),
        discharge_over_soc=Curve.of([(20, 0), (30, 120)]),
    )
    found = envelope(settings, soc, temperature)
    assert -800 <= found.low_kw <= found.base_low_kw <= 0 <= found.base_high_kw <= found.high_kw <= 1000
    if soc is None or soc <= 20:
        assert found.high_kw == 0
    if soc is None or soc >= 95:
        assert found.low_kw == 0


# -- ramps -----------------------------------------------------------------------------------------------------------


def test_the_stricter_ramp_holds() -> None:
    assert RampLimit.strictest(10, 10, 1000).kw_per_s == pytest.approx(100 / 60)
    assert RampLimit.strictest(10, None, 1000).kw_per_s == 10
    assert RampLimit.strictest(None, None, 1000).step(0, 500, 0.02) == 500


@given(st.floats(0, 1e4), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0, 10))
def test_never_above_the_ramp_and_never_past_what_is_wanted(
    rate: float, now: float, wanted: float, dt_s: float
) -> None:
    after = RampLimit(rate).step(now, wanted, dt_s)
    assert abs(after - now) <= rate * dt_s * (1 + 1e-9) + 1e-9
    assert min(now, wanted) - 1e-9 <= after <= max(now, wanted) + 1e-9


# -- recovery --------------------------------------------------------------------------------------------------------


def test_recovery_starts_outside_its_band_rests_outside_the_dead_band_and_ends_at_the_target() -> None:
    recovery = SocRecovery(RecoverySettings(capacity_kwh=2000, limit_kw=150))
    cycles = [(45, True), (39, True), (39, False), (45, True), (50.05, True), (45, True), (61, True), (None, True)]
    assert [recovery.step(soc, in_band) for soc, in_band in cycles] == [0, -110, 0, -100, 0, 0, 110, 0]


def test_recovery_keeps_to_its_limit() -> None:
    recovery = SocRecovery(RecoverySettings(capacity_kwh=2000, limit_kw=50))
    assert recovery.step(20, True) == -50


def test_at_its_floor_a_unit_waits_until_the_hysteresis_is_full() -> None:
    """Its cells recover by a few tenths once the discharge has ended: no reason to begin again."""
    gate = SocGate(20, 95, 0.5)
    story = [(21.0, 1000), (20.0, 0), (20.3, 0), (20.49, 0), (20.5, 1000), (20.1, 1000), (19.9, 0), (21.0, 1000)]
    assert [(soc, envelope(UNIT, soc, None, gate).high_kw) for soc, _ in story] == story
    assert [envelope(UNIT, soc, None, gate).low_kw for soc in (95.0, 94.6, 94.5)] == [0, 0, -800]


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0, 40))
def test_no_hysteresis_opens_what_the_limit_closes(socs: list[float], hysteresis: float) -> None:
    gate = SocGate(20, 95, hysteresis)
    for soc in socs:
        gate.step(soc)
        assert gate.at_floor or soc > 20
        assert gate.at_ceiling or soc < 95
        assert not (gate.at_floor and gate.at_ceiling)
