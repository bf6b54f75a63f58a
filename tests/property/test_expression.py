"""Expressions against Python itself, and text that is no expression."""

from __future__ import annotations

import math
import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.points.expression import FUNCTIONS, Expression, ExpressionError

ROWS = {"x/a": 0, "x/b-1": 1, "y": 2, "x/c[2].d": 3}
PYTHON = {name: f"v{row}" for name, row in ROWS.items()}

LEAVES = st.one_of(
    st.sampled_from(list(ROWS)), st.floats(0, 1e6).map(repr).filter(lambda text: "e" not in text), st.just("7")
)


def branches(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "<", ">=", "=="]), inner)
    return st.one_of(
        pair.map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda text: f"(-{text})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        inner.map(lambda text: f"abs({text})"),
    )


SOURCES = st.recursive(LEAVES, branches, max_leaves=12)
VALUES = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4)


def by_python(source: str, values: list[float]) -> float:
    for name in sorted(PYTHON, key=len, reverse=True):
        source = source.replace(name, PYTHON[name])
    try:
        result = float(eval(source, {f"v{i}": value for i, value in enumerate(values)}))
    except ArithmeticError:
        return math.nan
    return result if math.isfinite(result) else math.nan


@settings(max_examples=200)
@given(SOURCES, VALUES)
def test_the_value_is_that_of_the_same_python_expression(source: str, values: list[float]) -> None:
    expression = pickle.loads(pickle.dumps(Expression(source, ROWS)))
    result = expression.evaluate(np.array(values)[expression.inputs])
    expected = by_python(source, values)
    assert result == expected or (math.isnan(result) and math.isnan(expected))


SIGNS = "()+-*/%<>=!,.[]{}'\"\\:;@&|^~# \n0123456789_"
ALPHABET = st.sampled_from([*ROWS, *FUNCTIONS, *SIGNS, "good", "not ", "if", "**"])
TEXTS = st.one_of(st.text(max_size=60), st.lists(ALPHABET, max_size=40).map("".join))


@settings(max_examples=300)
@given(TEXTS)
def test_text_is_an_expression_or_an_expression_error(text: str) -> None:
    try:
        expression = Expression(text, ROWS)
    except ExpressionError as error:
        assert str(error).isprintable()
        return
    assert isinstance(expression.evaluate(np.ones(len(expression.inputs))), float)
