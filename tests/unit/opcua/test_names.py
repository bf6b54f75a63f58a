"""Folders of point names: nothing is missing, nothing is too wide, ids stay."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.opcua.names import MAX_CHILDREN, Entry, Group, NameTree

parts = st.one_of(
    st.sampled_from(["a", "b", "rack[1]", "rack[2]", "x.y"]), st.builds("cell[{}]".format, st.integers(0, 30_000))
)
names = st.lists(st.lists(parts, min_size=1, max_size=4).map("/".join), unique=True, max_size=400)


def below(tree: NameTree, path: str) -> list[Entry]:
    """Everything under a folder, walked as a client walks."""
    out: list[Entry] = []
    todo = list(tree.children(path))
    assert len(todo) <= MAX_CHILDREN
    while todo:
        child = todo.pop()
        if isinstance(child, Group):
            assert 0 < len(child.children) <= MAX_CHILDREN
            assert tree.group(path, child.id.partition("|")[2]) is child
            assert all(tree.parent(path, inner.id) == child.id for inner in child.children)
            todo += child.children
        else:
            out.append(child)
            if child.row < 0:
                out += below(tree, child.id.removesuffix("/"))
    return out


@settings(max_examples=60, deadline=None)
@given(names, st.booleans())
def test_every_point_is_found_once_and_no_folder_is_wide(points: list[str], commanded: bool) -> None:
    tree = NameTree(points, range(len(points)), [commanded] * len(points))
    entries = below(tree, "")
    assert sorted(entry.row for entry in entries if entry.row >= 0 and not entry.control) == list(range(len(points)))
    assert sum(entry.control for entry in entries) == (len(points) if commanded else 0)


def test_wide_arrays_are_grouped_by_their_numbers() -> None:
    tree = NameTree([f"bms/cell[{n}]" for n in range(1, 251)], range(250), [False] * 250)
    assert [child.id for child in tree.children("bms")] == [
        "bms/|cell[1..100]",
        "bms/|cell[101..200]",
        "bms/|cell[201..300]",
    ]


def test_groups_of_an_array_stay_when_others_come() -> None:
    small = NameTree([f"bms/cell[{n}]" for n in range(150)], range(150), [False] * 150)
    large = NameTree([f"bms/cell[{n}]" for n in range(950)], range(950), [False] * 950)
    assert {child.id for child in small.children("bms")} <= {child.id for child in large.children("bms")}


def test_a_hundred_thousand_in_one_folder() -> None:
    count = 100_000
    tree = NameTree([f"x[{n}]" for n in range(count)], range(count), [False] * count)
    assert len(below(tree, "")) == count
