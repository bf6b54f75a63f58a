"""Every query of the dashboard is answered by a real InfluxDB that holds what the forwarder sends."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.history.influx.lines import Layout, lines_of
from gateway.history.spool import SeriesInfo
from tests.kit.influxkit import DATABASE, InfluxServer
from tests.unit.history.test_store import records

DASHBOARD = json.loads((Path(__file__).parents[2] / "config" / "grafana" / "gridgate.json").read_text())
START_NS, HOUR_NS = 1_795_000_000_000_000_000, 3_600_000_000_000
POINTS = ["poi/frequency", "system/history/recording", "system/history/influx_waiting", "system/history/influx_age_s"]
VARIABLES = {
    "$timeFilter": f"time > {START_NS - HOUR_NS} AND time < {START_NS + HOUR_NS}",
    "$__interval": "1m",
    "/^$site$/": "/^.*$/",
    "/^$point$/": "/^(poi\\/frequency)$/",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    influx = InfluxServer(tmp_path_factory.mktemp("grafana"))
    influx.start()
    layout = Layout("kurnool", "gridgate", ("site", "device", "point", "unit"), {"poi/frequency": "meter"})
    batch = records([(number, 1.0, 0, START_NS) for number in range(len(POINTS))])
    lines = lines_of(batch, lambda series: layout.prefix(SeriesInfo(POINTS[series], "Hz")))
    request = urllib.request.Request(f"{influx.url}/write?db={DATABASE}", "\n".join(lines).encode(), method="POST")
    urllib.request.urlopen(request, timeout=10).close()
    yield influx
    influx.stop()


def queries() -> list[Any]:
    panels = [(panel["title"], target["query"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return panels + [(v["name"], v["query"]) for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]


@pytest.mark.parametrize(("title", "query"), queries())
def test_a_query_of_the_dashboard_finds_something(server: InfluxServer, title: str, query: str) -> None:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query.replace("$/", "")
    assert server.ask(query), title
