"""What may be written into `chatter_count` and `chatter_s`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.sitekit import Site, small_site

HEAD = "point,kind,address,chatter_count,chatter_s\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as made:
        made.write("maps/sldc.csv", "point,index\npoi/breaker,1\n")
        made.change("site.yaml", 'expr: "bess1/pcs/power - poi/power"', 'expr: "bess1/pcs/power"')
        yield made


def test_a_contact_may_have_a_filter(site: Site) -> None:
    site.write("maps/meter.csv", HEAD + "breaker,double,1,10,5\npower,analog,2,,\n")
    catalogue = site.load().catalogue
    row = catalogue.rows["poi/breaker"]
    assert (catalogue.chatter_count[row], catalogue.chatter_s[row]) == (10.0, 5.0)
    assert catalogue.point(catalogue.rows["poi/power"]).chatter_count != 10.0


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("breaker,double,1,10,", "chatter_count is given without chatter_s"),
        ("breaker,double,1,,5", "chatter_s is given without chatter_count"),
        ("breaker,double,1,0,5", "chatter_count"),
        ("breaker,analog,1,10,5", "only a binary or double chatters; this point is an analog"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_place(site: Site, row: str, expected: str) -> None:
    site.write("maps/meter.csv", f"{HEAD}{row}\n")
    assert any(expected in problem and "row 2" in problem for problem in site.errors())
