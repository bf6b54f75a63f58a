"""Site files and device maps of PMUs: what is taken, and how what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.config import load_site
from gateway.contracts import ConfigError
from protocols.c37118.channel import Quantity, parse_channel
from protocols.c37118.frame import FrameType
from protocols.c37118.plan import Url
from protocols.c37118.url import parse_url
from tests.kit.pmukit import compiled, source, stream

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("tcp://10.0.0.5", Url(scheme="tcp", host="10.0.0.5", port=4712)),
        ("tcp://pmu.local:4000", Url(scheme="tcp", host="pmu.local", port=4000)),
        ("udp://10.0.0.5?local=4713", Url(scheme="udp", host="10.0.0.5", port=4712, local_port=4713)),
        (
            "udp-listen://0.0.0.0?from=10.0.0.5",
            Url(scheme="udp-listen", host="0.0.0.0", port=4713, source="10.0.0.5"),
        ),
        ("udp-listen://[ff15::7]:4713", Url(scheme="udp-listen", host="ff15::7", port=4713)),
    ],
)
def test_urls(text: str, url: Url) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.0.5:4712", "expected tcp://"),
        ("rtu:///dev/ttyS0", "expected tcp://"),
        ("tcp://10.0.0.5:99999", "not a number from 0 to 65535"),
        ("tcp://10.0.0.5?local=4713", "unknown setting 'local' of a tcp url"),
        ("udp://10.0.0.5?locl=1", "did you mean local"),
        ("udp://10.0.0.5?local=x", "expected our own port"),
        ("udp-listen://0.0.0.0?from=pmu", "expected the sender's IP address"),
    ],
)
def test_wrong_urls_are_told(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_url(text)
    with pytest.raises(ValidationError, match=words):
        source("point,kind,channel\nf,analog,FREQ", url=text)


@pytest.mark.parametrize(
    ("text", "binary", "quantity", "name", "number", "mask"),
    [
        ("FREQ", False, Quantity.FREQUENCY, "", 0, 0),
        ("dfreq", False, Quantity.ROCOF, "", 0, 0),
        ("VA P.mag", False, Quantity.MAGNITUDE, "VA P", 0, 0),
        ("V.1.ANG", False, Quantity.ANGLE, "V.1", 0, 0),
        ("P", False, Quantity.ANALOG, "P", 0, 0),
        ("P.total", False, Quantity.ANALOG, "P.total", 0, 0),
        ("CB", True, Quantity.BIT, "CB", 0, 0),
        ("CB.1", True, Quantity.BIT, "CB.1", 0, 0),
        ("PHASOR[2].mag", False, Quantity.MAGNITUDE, "", 2, 0),
        ("ANALOG[1]", False, Quantity.ANALOG, "", 1, 0),
        ("DIGITAL[3].15", True, Quantity.BIT, "", 3, 0x8000),
        ("DIGITAL[3]", False, Quantity.WORD, "", 3, 0xFFFF),
        ("STAT", False, Quantity.STATUS, "", 0, 0xFFFF),
        ("STAT.data_error", True, Quantity.STATUS, "", 0, 0xC000),
    ],
)
def test_channels(text: str, binary: bool, quantity: Quantity, name: str, number: int, mask: int) -> None:
    found = parse_channel(text, binary)
    assert (found.quantity, found.name, found.number, found.mask) == (quantity, name, number, mask)


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("x,setpoint,P", "kind", "a PMU takes no set-points"),
        ("x,control,P", "kind", "takes no commands"),
        ("x,double,CB", "kind", "expected two rows of kind binary"),
        ("x,binary,FREQ", "channel", "expected kind analog"),
        ("x,binary,PHASOR[1].mag", "channel", "expected kind analog"),
        ("x,binary,STAT.triger", "channel", "did you mean trigger"),
        ("x,analog,STAT.trigger", "channel", "expected kind binary"),
        ("x,analog,PHASOR[1]", "channel", r"expected PHASOR\[1\].mag or .ang"),
        ("x,analog,ANALOG[0]", "channel", "counted from 1"),
        ("x,binary,DIGITAL[1]", "channel", r"DIGITAL\[1\].0 to .15"),
        ("x,binary,DIGITAL[1].16", "channel", r"DIGITAL\[1\].0 to .15"),
        ("x,analog,", "channel", "expected FREQ, DFREQ"),
    ],
)
def test_wrong_rows_are_told_with_their_place(row: str, column: str, words: str) -> None:
    plans, report = compiled(source(f"point,kind,channel\n{row}\nf,analog,FREQ"))
    (problem,) = report.errors
    assert (problem.place.line, problem.place.column) == (2, column)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(problem.message)
    assert len(plans[0].bindings) == 1, "the good row is compiled"


def test_a_binary_is_inverted_and_not_scaled() -> None:
    _, report = compiled(source("point,kind,channel,scale,offset\nx,binary,CB,2,\ny,binary,CB,-1,1"))
    (problem,) = report.errors
    assert "-1 and 1 to invert it" in problem.message


def test_one_channel_twice_is_a_warning() -> None:
    plans, report = compiled(
        source("point,kind,channel,unit\na,analog,V.ang,deg\nb,analog,V.ang,rad\nc,analog,V.ang,deg")
    )
    assert not report.errors
    assert [warning.message for warning in report.warnings] == [
        "pmu1/c and pmu1/a (pmu.csv, row 2) show the same channel"
    ]
    assert [binding.radians for binding in plans[0].bindings] == [False, True, False]


def test_two_streams_cannot_listen_on_one_port() -> None:
    text = "point,kind,channel\nf,analog,FREQ"
    first = source(text, url="udp-listen://0.0.0.0:4713")
    second = source(text, name="pmu2", url="udp://10.0.0.5?local=4713")
    _, report = compiled(first, second)
    (problem,) = report.errors
    assert "UDP port 4713 is already taken" in problem.message


def test_the_plan() -> None:
    plan = stream("point,kind,pmu,channel\nf,analog,1,FREQ", cfg=3, rate=100, timeout_ms=500)
    assert (plan.devices, plan.id, plan.configuration, plan.rate, plan.timeout_s) == (
        ["pmu1"],
        7,
        FrameType.CFG3,
        100,
        0.5,
    )
    assert plan.bindings[0].pmu == "1"


SITE = """
site: s
state_dir: var
devices:
  - {name: pmu1, driver: c37118, url: "tcp://127.0.0.1:4712", id: 1, map: pmu.csv, prefix: pmu1, rate: RATE}
"""


def site(folder: Path, rows: str, rate: str = "50") -> Path:
    (folder / "pmu.csv").write_text(rows)
    path = folder / "site.yaml"
    path.write_text(SITE.replace("RATE", rate))
    return path


def test_the_shipped_map_loads(tmp_path: Path) -> None:
    plan = load_site(site(tmp_path, (ROOT / "pointmaps" / "devices" / "pmu.csv").read_text()))
    assert not plan.warnings
    assert "pmu1/frequency" in plan.catalogue.rows


def test_points_age_by_the_rate_of_the_stream(tmp_path: Path) -> None:
    """Three frames, and never less than 0.1 s."""
    rows = "point,kind,channel\nf,analog,FREQ"
    assert load_site(site(tmp_path, rows, "50")).catalogue.max_age_s[0] == pytest.approx(0.1)
    assert load_site(site(tmp_path, rows, "1")).catalogue.max_age_s[0] == pytest.approx(3.0)


def test_a_wrong_site_is_told_in_words(tmp_path: Path) -> None:
    path = site(tmp_path, "point,kind,channel\nf,analog,STAT.trigger", "0")
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    assert "rate" in str(caught.value)
