"""Where a point is, found by arithmetic, is where it is when every group is written out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.sunspec.definitions import definition, known_models
from protocols.sunspec.model import HEADER, Group, ModelError, Path, Shape, Step, count_points

MODELS = [number for number in known_models() if (made := definition(number)) is not None and made.group.groups]


def written_out(
    group: Group, often: dict[str, int], at: int, steps: tuple[Step, ...] = ()
) -> Iterator[tuple[Path, int]]:
    """Every point and its register; the last thing is the end of the group, as a point without a name."""
    for point in group.points:
        yield Path(steps, point.name), at
        at += point.size
    for inner in group.groups:
        count = 1 if inner.count is None else often[inner.count if isinstance(inner.count, str) else inner.name]
        for number in range(count):
            step = (inner.name, None if inner.count is None else number)
            for path, place in written_out(inner, often, at, (*steps, step)):
                if path.point:
                    yield path, place
                at = place
    yield Path(steps, ""), at


def _endless(group: Group) -> list[str]:
    return [inner.name for inner in group.groups if inner.count == 0]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(MODELS), st.data())
def test_find_is_writing_out(number: int, data: st.DataObject) -> None:
    made = definition(number)
    assert made is not None
    names = [*count_points(made.group), *_endless(made.group)]
    fixed = {g.name: g.count for g in made.group.groups if isinstance(g.count, int) and g.count}
    often = {name: data.draw(st.integers(0, 4), label=name) for name in names} | fixed
    *places, (_, end) = written_out(made.group, often, 0)
    shape = Shape(made.group, end - HEADER, {name: often[name] for name in count_points(made.group)})
    for path, at in places:
        assert shape.find(path).offset == at
    with pytest.raises(ModelError):
        Shape(made.group, end - HEADER + 1 if _endless(made.group) == [] else HEADER - 4, often)
