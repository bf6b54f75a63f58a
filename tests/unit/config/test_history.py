"""The history section of a site, and what is wrong with it, each with its place."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.config import render
from gateway.contracts import ConfigError
from tests.kit.sitekit import Site


def words(site: Site, history: str) -> str:
    site.change("site.yaml", "control:\n", f"history:\n{history}\ncontrol:\n")
    with pytest.raises(ConfigError) as caught:
        site.load()
    return render(caught.value.report)


def test_a_bare_history_records_everything_and_has_its_points(site: Site) -> None:
    site.change("site.yaml", "control:\n", "history: {store: {retention_days: 7}}\ncontrol:\n")
    plan = site.load()
    assert plan.history is not None
    assert plan.history.recording.recorded.all()
    assert plan.history.retention.days == 7
    assert plan.catalogue.names[plan.history.rows.recording] == "system/history/recording"
    assert plan.history.rows.influx_online == -1
    assert plan.history.influx is None


def test_a_map_of_recorded_points(site: Site) -> None:
    site.write(
        "history.csv", "point,record,deadband,deadband_percent,interval_s\n*,,,,60\nbess1/*,,0.5,,\nsystem/*,false,,,\n"
    )
    site.change("site.yaml", "control:\n", "history: {points: history.csv}\ncontrol:\n")
    plan = site.load()
    assert plan.history is not None
    recording, names = plan.history.recording, plan.catalogue.names
    for row, name in enumerate(names):
        assert recording.recorded[row] == (not name.startswith("system/"))
        assert recording.limit[row] == (0.5 if name.startswith("bess1/") else 0)
    assert np.unique(recording.interval_ns).tolist() == [0, 60_000_000_000]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("  influxdb: {url: 'ftp://x', bucket: b}", "url"),
        ("  influxdb: {url: 'http://127.0.0.1:8086'}", "version 2 needs a bucket"),
        (
            "  influxdb: {url: 'http://127.0.0.1:8086', version: 1, bucket: b}",
            "version 1 has no bucket: expected database",
        ),
        (
            "  influxdb: {url: 'http://127.0.0.1:8086', bucket: b, measurement: '{plant}'}",
            "expected text in which {site}",
        ),
        ("  influxdb: {url: 'https://h', bucket: b, ca: no.pem}", "there is no file"),
        ("  influxdb: {url: 'https://h', bucket: b, token: t, username: u}", "either a token or a user"),
        ("  points: history.csv", "no point is called nobody"),
        ("  points: history.csv", "has no range (low, high)"),
        ("  points: history.csv", "a swinging door needs a deadband"),
        ("  stoer: {}", "stoer"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(site: Site, history: str, expected: str) -> None:
    site.write(
        "history.csv",
        "point,deadband,deadband_percent,swinging_door\nnobody,1,,\nsystem/*,,5,\nsystem/*,,,true\n",
    )
    told = words(site, history)
    assert expected in told
    assert "site.yaml, line" in told or "history.csv, row" in told


def test_the_token_is_never_shown(site: Site) -> None:
    text = "history: {influxdb: {url: 'http://influx:8086', bucket: b, token: secret-word}}\ncontrol:\n"
    site.change("site.yaml", "control:\n", text)
    plan = site.load()
    assert plan.history is not None and plan.history.influx is not None
    assert plan.history.influx.token == "secret-word"
    assert "secret-word" not in repr(plan.history)
    assert any("unprotected" in str(warning) for warning in plan.warnings)
