"""What is wrong with a map or a site is said with its place, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config import load_site
from gateway.contracts import ConfigError, Report
from gateway.points import Kind, Point, PointCatalogue
from protocols.mqtt.fieldsettings import SETTINGS as FIELD
from protocols.mqtt.gridsettings import SETTINGS as GRID
from tests.kit.mqttkit import device_plan, device_plans, device_source, server_plan, server_source

POINTS = PointCatalogue.of(
    [
        Point(row=0, name="a", kind=Kind.ANALOG, low=0, high=200),
        Point(row=1, name="b", kind=Kind.BINARY),
        Point(row=2, name="s", kind=Kind.SETPOINT),
    ]
)


def field_errors(text: str, **keys: Any) -> list[str]:
    report = Report()
    FIELD.compile([device_source(text, **keys)], report)
    return [str(problem) for problem in report.errors]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("point,kind,json\np,analog,v\n", "dev.csv, row 2, column topic: a topic is needed"),
        ("point,kind,topic\np,analog,a/+/b\n", "column topic: topic a/+/b: + and # stand for many"),
        ("point,kind,topic\np,analog,$SYS/x\n", "the broker's own"),
        ("point,kind,topic,metric\np,analog,g,M\n", "expected group/edge"),
        ("point,kind,topic,metric,json\np,analog,g/e,M,v\n", "column json: dev/p: a row with a metric has no json"),
        ("point,kind,topic\ns,setpoint,t\n", "column feedback: dev/s: a broker's acknowledgement does not say"),
        ("point,kind,topic,payload,feedback\ns,setpoint,t,{}x,f\n", "the payload has no {value}"),
        ("point,kind,topic,payload,feedback\ns,setpoint,t,{value}{what},f\n", "{what} is not known"),
        ("point,kind,topic,payload,reply_topic\ns,setpoint,t,{value},r\n", "needs an {id}"),
        ("point,kind,topic,reply_id,feedback\ns,setpoint,t,x,f\n", "reply_id without a reply_topic"),
        ("point,kind,topic,on\np,analog,t,x\n", "on and off are for binary"),
        ("point,kind,topic,scale\np,binary,t,2\n", "a binary has no scale"),
        ("point,kind,topic,states\np,analog,t,idle\n", "expected word=number"),
        ("point,kind,topic,on,feedback\nc,control,t,go,f\n", "on and off are both needed"),
    ],
)
def test_rows_that_are_wrong(text: str, words: str) -> None:
    found = field_errors(text)
    assert len(found) == 1 and words in found[0], found


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"url": "tcp://x:1"}, "expected mqtt://"),
        ({"url": "mqtt://user:pw@x"}, "no user or password here"),
        ({"url": "mqtt://x:99999"}, "is no port"),
        ({"time": "a..b"}, "path"),
        ({"version": "4"}, "3.1.1"),
        ({"host_id": "a/b"}, "no id of Sparkplug"),
    ],
)
def test_keys_that_are_wrong(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        device_source("point,kind,topic\np,analog,t\n", **keys)


def test_tls_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    text = "point,kind,topic\np,analog,t\n"
    tls = {"ca": str(tmp_path / "none.pem")}
    assert "No such file" in field_errors(text, url="mqtts://b", tls=tls)[0]
    assert "no certificate" in field_errors(text, url="mqtts://b", tls={"ca": str(tmp_path / "x.pem")})[0]
    assert "in the clear" in field_errors(text, url="mqtt://b", tls={})[0]
    assert "belong together" in field_errors(text, url="mqtts://b", tls={"certificate": "c"})[0]
    assert "without a username" in field_errors(text, password="x")[0]


def test_devices_of_one_broker_share_a_connection() -> None:
    one = device_source("point,kind\np,analog\n", topic="a")
    two = device_source("point,kind\np,analog\n", 1, name="two", prefix="two", topic="a")
    other = device_source(
        "point,kind\np,analog\n", 2, name="o", prefix="o", topic="a", username="x", password="swordfish"
    )
    plans = device_plans(one, two, other)
    assert [plan.devices for plan in plans] == [["dev", "two"], ["o"]]
    assert list(plans[0].topics) == ["a"] and len(plans[0].topics["a"]) == 2
    assert "swordfish" not in repr(plans[1])


def test_what_the_default_of_max_age_is() -> None:
    plan = device_plan("point,kind\np,analog\n", topic="a", interval_s=2)
    assert plan.topics["a"][0].max_age_ns == 6_000_000_000 and plan.plans[0].silent_s == 6


def grid_errors(text: str, server: dict[str, Any] | None = None, **master: Any) -> list[str]:
    report = Report()
    GRID.compile(server_source(text, POINTS, server, **master), POINTS, report)
    return [str(problem) for problem in report.errors]


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("point\na\na\n", {}, "row 3, column point: point a stands here already (m.csv, row 2)"),
        ("point,name\na,x\nb,x\n", {}, "name x is taken"),
        ("point,deadband\nb,1\n", {}, "has no deadband"),
        ("point,deadband,deadband_percent\na,1,1\n", {}, "not both"),
        ("point,deadband_percent\ns,1\n", {}, "has no range"),
        ("point,command\na,true\n", {}, "cannot be commanded"),
        ("point,device\na,d\n", {}, "device is for form: sparkplug"),
        ("point\na\n", {"topic": "x/{what}"}, "{what} in x/{what} is not known"),
        ("point\na\n", {"topic": "x/#"}, "stand for many"),
        ("point\na\n", {"topic": "x/{point}", "payload": "group"}, "carries one point"),
        ("point\na\n", {"edge": "e"}, "edge means nothing with form: json"),
        ("point\na\n", {"addresses": ["10.0.0.1"]}, "addresses mean nothing here"),
        ("point\na\n", {"form": "sparkplug", "group": "g"}, "form: sparkplug needs edge"),
        ("point,topic\na,t\n", {"form": "sparkplug", "group": "g", "edge": "e"}, "topic is for form: json"),
        ("point,name\na,bdSeq\n", {"form": "sparkplug", "group": "g", "edge": "e"}, "Sparkplug's own"),
    ],
)
def test_maps_and_masters_that_are_wrong(text: str, keys: dict[str, Any], words: str) -> None:
    found = grid_errors(text, **keys)
    assert len(found) == 1 and words in found[0], found


def test_a_server_that_listens_is_an_error() -> None:
    assert "does not listen" in grid_errors("point\na\n", {"listen": "127.0.0.1:1883"})[0]


def test_what_may_be_commanded() -> None:
    plan = server_plan("point\na\ns\n", POINTS, commands=True)
    assert plan.commands["broker"].tolist() == [2]
    assert server_plan("point\na\ns\n", POINTS).commands["broker"].tolist() == []


SITE = """
site: s
devices:
  - {name: d, driver: mqtt, url: "mqtt://127.0.0.1", topic: t, map: d.csv, prefix: d}
servers:
  - name: cloud
    protocol: mqtt
    url: mqtt://127.0.0.1:1883
    username: u
    password: ${MQTT_WORD}
    masters: [{name: m, map: m.csv}]
"""


def test_a_site_and_its_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_WORD", "swordfish")
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "d.csv").write_text("point,kind,json\np,analog,v\nq,analog,w..x\n")
    (tmp_path / "m.csv").write_text("point,deadband\nd/p,-1\nd/r,\n")
    with pytest.raises(ConfigError) as caught:
        load_site(tmp_path / "site.yaml")
    text = str(caught.value)
    for words in ("d.csv, row 3, column json", "m.csv, row 2, column deadband", "m.csv, row 3, column point"):
        assert words in text, text
    assert "swordfish" not in text
    (tmp_path / "d.csv").write_text("point,kind,json\np,analog,v\n")
    (tmp_path / "m.csv").write_text("point,deadband\nd/p,1\n")
    plan = load_site(tmp_path / "site.yaml")
    assert plan.servers[0].listen == "mqtt://127.0.0.1:1883"
    assert "swordfish" not in repr(plan)
