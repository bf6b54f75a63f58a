"""Search over points: words anywhere, folders, kinds and devices; quick for 100,000 points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.points.model import Kind, Point, PointCatalogue
from gateway.site.addresses import Addresses, Uses
from hmi.pointsearch import PointIndex, Wish, natural
from hmi.wordindex import WordIndex

SIZE = 100_000


@pytest.fixture(scope="module")
def large() -> tuple[PointCatalogue, PointIndex]:
    """500 devices of 200 points, each told to one master."""
    points = [
        Point(
            row=row,
            name=f"plant{row // 20_000}/dev{row // 200}/cell[{row % 200}]",
            kind=Kind(row % 6),
            description=f"Measured thing {row}",
            device=f"d{row // 200}",
        )
        for row in range(SIZE)
    ]
    catalogue = PointCatalogue.of(points)
    rows = np.arange(SIZE, dtype=np.uint32)
    uses = Uses(
        server="sldc", protocol="iec104", master="main", rows=rows, addresses=[f"ca 1 ioa {row}" for row in rows]
    )
    sources = [f"input {row % 60_000}" for row in range(SIZE)]
    return catalogue, PointIndex(catalogue, Addresses(sources=sources, uses=[uses]))


def names(large: tuple[PointCatalogue, PointIndex], **wish: object) -> list[str]:
    catalogue, index = large
    return [catalogue.names[row] for row in index.find(Wish(**wish))]  # type: ignore[arg-type]


def test_words_are_found_anywhere_in_name_description_device_and_address(
    large: tuple[PointCatalogue, PointIndex],
) -> None:
    assert len(names(large)) == SIZE
    assert names(large, words=("thing", "99999")) == ["plant4/dev499/cell[199]"]
    assert names(large, words=Wish.words_of("DEV17/Cell[5]")) == ["plant0/dev17/cell[5]"]
    assert names(large, words=("d33",), folder="plant0/")[:2] == ["plant0/dev33/cell[0]", "plant0/dev33/cell[1]"]
    assert names(large, words=("ioa", "4711", "main")) == names(large, words=("4711", "ioa"))
    assert names(large, words=("no such",)) == []


def test_folder_kind_and_device_narrow(large: tuple[PointCatalogue, PointIndex]) -> None:
    assert len(names(large, folder="plant1/")) == 20_000
    assert len(names(large, folder="plant1/dev1/")) == 0, "dev1 lies in plant0"
    assert len(names(large, folder="plant0/dev1/", kind=Kind.DOUBLE)) == pytest.approx(200 / 6, abs=1)
    assert names(large, device="d7")[0] == "plant0/dev7/cell[0]"
    assert names(large, device="nobody") == []


def test_names_come_in_natural_order_and_folders_with_counts(large: tuple[PointCatalogue, PointIndex]) -> None:
    found = names(large, folder="plant0/dev1/")
    assert found == [f"plant0/dev1/cell[{number}]" for number in range(200)]
    _, index = large
    assert [(each.path, each.points, each.folders) for each in index.folders("")][:2] == [
        ("plant0/", 20_000, True),
        ("plant1/", 20_000, True),
    ]
    assert [each.path for each in index.folders("plant0/")][9:11] == ["plant0/dev9/", "plant0/dev10/"]
    assert index.folders("plant0/dev9/") == []


def test_a_name_may_be_a_folder_as_well() -> None:
    catalogue = PointCatalogue.of(
        [
            Point(row=row, name=name, kind=Kind.ANALOG)
            for row, name in enumerate(("poi", "poi/pmu/f", "poi/f", "poix/f"))
        ]
    )
    index = PointIndex(catalogue, Addresses())
    assert [catalogue.names[row] for row in index.find(Wish(folder="poi/"))] == ["poi/f", "poi/pmu/f"]
    assert [(each.path, each.points) for each in index.folders("")] == [("poi/", 2), ("poix/", 1)]
    assert natural("a/b2") < natural("a/b10") < natural("a1")


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="abü1/ \n", max_size=12), max_size=12),
    st.text(alphabet="abü1/", min_size=1, max_size=4),
)
def test_the_word_index_finds_what_a_plain_look_finds(texts: list[str], word: str) -> None:
    index = WordIndex(texts)
    plain = [any(word in part for part in text.split()) for text in texts]
    assert index.having(word).tolist() == plain
