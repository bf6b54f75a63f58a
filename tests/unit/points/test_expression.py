"""Expressions as an engineer writes them."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from gateway.points.expression import Expression, ExpressionError

ROWS = {"bess1/pcs/rated_power": 3, "bess1/bms/soc": 7, "a/b": 1, "a/b-c": 2, "c/d": 4, "m/cell[3].V": 6, "min": 9}

GIVES = {
    "min(bess1/pcs/rated_power, (bess1/bms/soc - 20) * 25)": ([1000, 50], 750),
    "max(a/b, c/d) + abs(-2)": ([3, 4], 6),
    "clamp(a/b, 0, 10)": ([12], 10),
    "sum(a/b, c/d, 1) / mean(a/b, c/d)": ([1, 3], 2.5),
    "sqrt(a/b)": ([9], 3),
    "a/b if c/d > 5 else -a/b": ([2, 4], -2),
    "a/b and c/d": ([2, 3], 1),
    "a/b or c/d": ([0, 0], 0),
    "not a/b": ([0], 1),
    "(a/b > 1) * 5 + (1 < a/b <= 3)": ([3], 6),
    "a/b // 2 + a/b % 2": ([7], 4),
    "2 ** a/b": ([3], 8),
    "-a/b ** 2": ([3], -9),
    "a/b/2": ([5], 2.5),
    "a/b-c": ([5], 5),
    "a/b - c/d": ([5, 1], 4),
    "m/cell[3].V*1e3": ([3.3], 3300),
    "min(min, 2) + min": ([5], 7),
    "good(a/b) * 10": ([5], 10),
    "1/a/b": ([0], math.nan),
    "a/b % 0": ([1], math.nan),
    "sqrt(a/b) > -1": ([-1], math.nan),
    "(0 - a/b) ** 0.5": ([4], math.nan),
    "a/b * a/b": ([1e200], math.nan),
    "a/b ** 50": ([1e10], math.nan),
    "clamp(1, a/b, 0)": ([1], math.nan),
    "min(1, a/b)": ([math.nan], math.nan),
}


@pytest.mark.parametrize("source", GIVES)
def test_an_expression_gives(source: str) -> None:
    values, expected = GIVES[source]
    expression = pickle.loads(pickle.dumps(Expression(source, ROWS)))
    result = expression.evaluate(np.array(values, np.float64))
    assert result == pytest.approx(expected, nan_ok=True)
    assert type(result) is float


CELLS = {f"bms/cell[{n}]": 20 - n for n in range(12)} | {"bms/cell[x]": 1, "bms/cell[1].t": 2, "bms/soc": 3}
ARRAYS = {
    "min(bms/cell[*])": 0.0,
    "max(bms/cell[*])": 11.0,
    "sum(bms/cell[*])": 66.0,
    "mean(bms/cell[*])": 5.5,
    "spread(bms/cell[*]) * 2": 22.0,
    "min(bms/cell[*], -1)": -1.0,
    "max(bms/cell[*]) - bms/cell[3] + bms/soc": 11.0 - 3.0 + 100.0,
    "max(max(bms/cell[*]), bms/soc)": 100.0,
    "mean(bms/cell[*].t)": 7.0,
    "max(bms/cell[*]) if good(bms/soc) else 0": 11.0,
    "spread(bms/cell[2], bms/cell[7])": 5.0,
    "sum(bms/cell[*], bms/cell[*])": 132.0,
}


@pytest.mark.parametrize("source", ARRAYS)
def test_arrays_of_points(source: str) -> None:
    expression = pickle.loads(pickle.dumps(Expression(source, CELLS)))
    shown = {name: float(name[9:-1]) for name in CELLS if name[9:-1].isdecimal()}
    shown |= {"bms/soc": 100.0, "bms/cell[1].t": 7.0}
    assert expression.inputs.tolist() == [CELLS[name] for name in expression.points]
    values = np.array([shown[name] for name in expression.points])
    assert expression.evaluate(values) == ARRAYS[source]


def test_an_array_is_every_point_of_its_name_by_number_and_nothing_else() -> None:
    expression = Expression("max(bms/cell[*])", CELLS)
    assert expression.points == tuple(f"bms/cell[{n}]" for n in range(12))
    values = np.arange(12.0)
    values[5] = math.nan
    assert math.isnan(expression.evaluate(values)), "what is not a number is not passed over"
    assert math.isnan(Expression("sum(bms/cell[*])", CELLS).evaluate(np.full(12, 1e308)))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("bms/cell[*]", "an array of points stands in min, max, sum, mean, spread alone (at character 1)"),
        ("min(bms/cell[*] + 1, 2)", "an array of points stands in"),
        ("abs(bms/cell[*])", "an array of points stands in"),
        ("good(bms/cell[*])", "good takes the name of one point"),
        ("min(bms/cells[*])", "no points are called bms/cells[0], bms/cells[1], ... (at character 5)"),
    ],
)
def test_where_an_array_cannot_stand(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        Expression(source, CELLS)
    assert message in str(refused.value)


def test_the_longest_known_name_wins_and_inputs_are_rows() -> None:
    expression = Expression("c/d + a/b-c + c/d", ROWS)
    assert expression.points == ("c/d", "a/b-c")
    assert expression.inputs.tolist() == [4, 2]
    assert expression.inputs.dtype == np.uint32


def test_good_looks_at_the_quality() -> None:
    expression = Expression("a/b if good(a/b) else c/d", ROWS)
    assert expression.guarded.tolist() == [True, False]
    assert expression.evaluate(np.array([1.0, 2.0]), np.array([True, True])) == 1.0
    assert expression.evaluate(np.array([1.0, 2.0]), np.array([False, True])) == 2.0


REFUSED = {
    "": "the expression is empty",
    "a/x": "no point is called a/x (did you mean a/b?) (at character 1)",
    "1 + bess1/bms/scc": "no point is called bess1/bms/scc (did you mean bess1/bms/soc?) (at character 5)",
    "a/b c/d": "an operator or a value is missing (at character 5)",
    "(a/b": "a ')' is missing (at character 1)",
    "a/b)": "a ')' too many (at character 4)",
    "mim(a/b, 1)": "no function is called mim (did you mean min?) (at character 1)",
    "sqrt(a/b, 2)": "sqrt takes 1 value, found 2 (at character 1)",
    "max(a/b)": "max takes 2 to 100 values, found 1 (at character 1)",
    "sqrt": "sqrt is a function: sqrt(...) (at character 1)",
    "a/b(3)": "an operator is missing before '(' (at character 1)",
    "quality(a/b) != 0": "quality() belongs to interlocks: here good(point) gives 1 or 0 (at character 1)",
    "good(a/b + 1)": "good takes the name of one point (at character 1)",
    "2 ** 1000": "the exponent is beyond 64 (at character 6)",
    "9" * 400: "the number is too large (at character 1)",
    "a/b = 1": "'=' has no meaning here (at character 5)",
    "'text'": '"\'" has no meaning here (at character 1)',
    "a/b.real": "'.' has no meaning here (at character 4)",
    "a/b if c/d": "'if' needs its 'else': a if condition else b (at character 1)",
    "sum(*a/b)": "this cannot stand in an expression (at character 5)",
    "(1, 2)": "this cannot stand in an expression (at character 1)",
    "x" * 5000: "longer than 4000 characters",
    "(" * 60 + "a/b" + " + 1)" * 60: "nested deeper than 40 levels: make two calculated points of it",
}


@pytest.mark.parametrize("source", REFUSED)
def test_a_mistake_is_told_with_its_place(source: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(source, ROWS)
    assert str(caught.value) == REFUSED[source]


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os')",
        "().__class__",
        "a/b.__class__",
        "p0.__class__",
        "[x for x in (1,)]",
        "lambda: 1",
        "pow(2, 3)",
        "eval(1)",
        "a/b := 1",
        "f''",
        "(" * 1500,
        "-" * 3999 + "1",
        "not " * 900 + "1",
        "9**9**9**9**9",
        "min(" * 99,
        "\0",
        "a/b\nimport os",
        "a/b # comment",
    ],
)
def test_nothing_else_of_python_is_reachable(source: str) -> None:
    try:
        expression = Expression(source, ROWS)
    except ExpressionError:
        return
    assert math.isnan(expression.evaluate(np.ones(len(expression.inputs))))
