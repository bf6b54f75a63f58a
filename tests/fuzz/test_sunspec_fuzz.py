"""The walk over the models against devices that say anything."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.sunspec.definitions import definition, known_models
from protocols.sunspec.model import Group, ModelError, Path, Shape
from protocols.sunspec.survey import MAX_MODELS, NotSunSpec, Survey, walk

GROUPS = {number: made.group for number in known_models() if (made := definition(number)) is not None}
NUMBERS = st.integers(0, 0xFFFF)
MODELS = st.lists(
    st.tuples(st.one_of(st.sampled_from(sorted(GROUPS)), NUMBERS), st.one_of(st.integers(0, 80), NUMBERS))
)


def _answer(memory: bytes, at: int, count: int) -> bytes | None:
    data = memory[2 * at : 2 * (at + count)]
    return data if len(data) == 2 * count else None


def _run(memory: bytes, base: int) -> Survey | None:
    steps = walk(GROUPS, base)
    try:
        wanted = next(steps)
        for _ in range(20 * MAX_MODELS):
            assert 0 <= wanted[0] <= 65535 and 1 <= wanted[1] <= 125
            assert wanted[0] + wanted[1] <= 65536 + 125
            wanted = steps.send(_answer(memory, *wanted))
    except StopIteration as end:
        survey: Survey = end.value
        return survey
    except NotSunSpec:
        return None
    raise AssertionError("the walk has no end")


@settings(max_examples=150, deadline=None)
@given(MODELS, st.binary(max_size=400), st.integers(0, 3))
def test_any_list_of_models_ends_in_a_survey_that_fits_its_lengths(
    models: list[tuple[int, int]], noise: bytes, base: int
) -> None:
    memory = bytes(2 * base) + b"SunS"
    for number, length in models:
        memory += struct.pack(">HH", number, length) + (noise * (2 * length // (len(noise) or 1) + 1))[: 2 * length]
    survey = _run(memory, base)
    if survey is None:
        return
    for (number, instance), shape in survey.shapes.items():
        found = survey.model(number, instance)
        assert found is not None and found.address + 2 + found.length <= 65536
        _last_is_inside(shape, found.length)


def _last_is_inside(shape: Shape, length: int) -> None:
    """The last point of every group, of every last repetition, ends inside the model."""

    def seek(group: Group, steps: tuple[tuple[str, int | None], ...]) -> None:
        for point in group.points[-1:]:
            try:
                place = shape.find(Path(steps, point.name))
            except ModelError:
                assert point.type == "pad"
            else:
                assert place.offset + place.point.size <= length + 2
                assert -1 <= place.scale_offset < length + 2
        for inner in group.groups:
            often = shape.repeats(inner)
            if often:
                seek(inner, (*steps, (inner.name, None if inner.count is None else often - 1)))

    seek(shape.model, ())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_behind_the_marker(noise: bytes) -> None:
    _run(b"SunS" + noise, 0)
