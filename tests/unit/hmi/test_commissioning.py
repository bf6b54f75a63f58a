"""Test sheets: verdicts, values worth driving, what is kept, and what in the gateway acts on a point."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.points.calculated import CalculatedPoint
from gateway.points.expression import Expression
from gateway.points.model import Kind, Point, PointCatalogue
from hmi.commissioning.page import write_sheet
from hmi.commissioning.sheet import Drive, Item, Sent, Sheet, Verdict, tick, values_to_drive
from hmi.commissioning.store import SheetStore
from hmi.commissioning.uses import acting
from hmi.refusal import Refusal


def item(point: str = "poi/power", kind: str = "analog") -> Item:
    return Item(point=point, kind=kind, address="ca 1 ioa 4101", unit="kW")


def sheet(name: str = "20260301-0a1b2c3d", items: int = 2) -> Sheet:
    return Sheet(
        id=name,
        title="SLDC <main>",
        kind="SAT",
        site="kurnool",
        server="sldc",
        protocol="iec104",
        master="sldc-main",
        listen="127.0.0.1:2404",
        version="1.0",
        began_ms=1_772_000_000_000,
        began_by="esha",
        items=[item(f"poi/p{i}") for i in range(items)],
    )


def test_a_failure_needs_a_word() -> None:
    tried = item()
    with pytest.raises(ValueError, match="needs a comment"):
        tick(tried, Verdict.FAILED, " ", "", "esha", 1.0)
    assert tried.verdict is Verdict.OPEN
    tick(tried, Verdict.FAILED, "shows MW", "0.5", "esha", 1.0)
    assert (tried.verdict, tried.comment, tried.seen, tried.by) == (Verdict.FAILED, "shows MW", "0.5", "esha")


@pytest.mark.parametrize(
    ("kind", "value", "low", "high", "worth"),
    [
        ("binary", 0.0, 0, 0, [1.0, 0.0]),
        ("binary", 1.0, 0, 0, [0.0, 1.0]),
        ("double", 1.0, 0, 0, [2.0, 1.0]),
        ("double", 2.0, 0, 0, [1.0, 2.0]),
        ("analog", 7.0, -1000.0, 1000.0, [-1000.0, 0.0, 1000.0]),
        ("analog", 50.0, float("nan"), float("nan"), [55.0, 0.0]),
        ("counter", 41.0, float("nan"), float("nan"), [42.0, 0.0]),
    ],
)
def test_values_worth_driving(kind: str, value: float, low: float, high: float, worth: list[float]) -> None:
    assert values_to_drive(kind, value, low, high) == worth


def test_a_sheet_is_kept_and_resumed(tmp_path: Path) -> None:
    store = SheetStore(tmp_path / "commissioning")
    assert store.names() == []
    made = sheet()
    store.save(made)
    tick(made.items[0], Verdict.PASSED, "", "512 kW", "esha", 5.0)
    store.save(made)
    again = SheetStore(tmp_path / "commissioning").load(made.id)
    assert again == made
    assert again.counts() == {"open": 1, "passed": 1, "failed": 0, "skipped": 0}
    file = tmp_path / "commissioning" / f"{made.id}.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("{")
    with pytest.raises(Refusal, match="cannot be read"):
        store.load(made.id)
    for name in ("../../etc/passwd", "", "20260301-0a1b2c3d/../x", "nobody"):
        with pytest.raises(Refusal, match="there is no test"):
            store.load(name)


def test_the_printed_sheet_has_names_values_and_frames(tmp_path: Path) -> None:
    made = sheet(items=1)
    made.witness = "R. Rao & Co"
    sent = Sent(time_ms=1_772_000_000_123, peer="10.0.0.9:4000", out=True, text="M_ME_TF_1 <b>", octets="6804")
    made.items[0].drives.append(
        Drive(time_ms=1_772_000_000_100, by="esha", value=512.5, test=True, outcome="driven", frames=[sent])
    )
    tick(made.items[0], Verdict.PASSED, "", "512.5", "esha", 1_772_000_001_000)
    page = write_sheet(tmp_path / "sheet.html", made).read_text()
    for text in (
        "R. Rao &amp; Co",
        "SLDC &lt;main&gt;",
        "512.5 kW (test) driven",
        "M_ME_TF_1 &lt;b&gt;",
        "6804",
        "passed",
    ):
        assert text in page
    assert "<b>" not in page


def test_what_acts_on_a_point_is_found_through_calculated_points_too() -> None:
    names = ["a/estop", "a/temp", "a/other", "a/hottest"]
    points = [Point(row=i, name=name, kind=Kind.ANALOG) for i, name in enumerate(names)]
    catalogue = PointCatalogue.of(points)
    hottest = CalculatedPoint(row=3, kind=Kind.ANALOG, expression=Expression("max(a/temp, 0)", catalogue.rows))
    settings = {
        "interlocks": {"hot": {"when": "a/hottest > 60"}, "estop": {"when": "a/estop == 1", "then": ["stop x"]}}
    }
    found = acting(catalogue, settings, [hottest])
    assert found == {
        "a/estop": {"interlocks estop"},
        "a/hottest": {"interlocks hot"},
        "a/temp": {"interlocks hot"},
    }
