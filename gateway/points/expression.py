"""Expressions over points, compiled once from a whitelisted syntax tree.

Source text is Python-like: ``+ - * / // % **``, comparisons, ``and or not``, ``a if c else b``, numbers, the
functions of `FUNCTIONS`, ``good(point)`` (1 when the point may be used, else 0) and point names as they are
(``bess1/pcs/active_power``). A point name may hold ``- . / [ ]``, which are operators as well: where more than one
reading is possible the longest known point name wins, and a space settles it (``a/b - 1``). ``bms/cell[*]`` is the
array of all points ``bms/cell[0]``, ``bms/cell[1]``, ...; it stands in ``min max sum mean spread`` alone.

Nothing else of Python is reachable: the text is cut into known tokens first, points are replaced by parameters,
the tree is checked node by node, and the code runs without builtins.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.places import nearest
from gateway.points.functions import FUNCTIONS, OF_ARRAYS

MAX_LENGTH: Final = 4000
MAX_DEPTH: Final = 40
MAX_EXPONENT: Final = 64.0


class ExpressionError(ValueError):
    """The text is not an expression. `position` counts characters from 1; 0 when it is the text as a whole.

    `unknown` is the point name that is not known, where that is what is wrong.
    """

    def __init__(self, message: str, position: int = 0, unknown: str = "") -> None:
        super().__init__(f"{message} (at character {position})" if position else message)
        self.position = position
        self.unknown = unknown


_POWER: Final = "pow"
_NAMESPACE: Final = (
    {"__builtins__": {}, _POWER: math.pow}
    | {name: spec[0] for name, spec in FUNCTIONS.items()}
    | {f"{name}_of": function for name, function in OF_ARRAYS.items()}
)
_WORDS: Final = frozenset({"and", "or", "not", "if", "else"})
_CALLS: Final = frozenset({*FUNCTIONS, "good", "quality"})

_NUMBER: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_RUN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]/-]*")
_ARRAY: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.\[\]/-]*)\[\*\]([A-Za-z0-9_.\[\]/-]*)")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR: Final = re.compile(r"\*\*|//|<=|>=|==|!=|[-+*/%<>(),]")
_SPACE: Final = re.compile(r"\s+")
_OPENS_CALL: Final = re.compile(r"\s*\(")

_OPERATORS: Final = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.And, ast.Or, ast.Not, ast.UAdd, ast.USub),
    *(ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq, ast.Load),
)
_NODES: Final = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Name)


@dataclass(slots=True)
class _Text:
    """Python text with points as parameters, and for each of its characters the position in the source (from 1)."""

    python: str
    positions: list[int]
    points: dict[str, str]
    """Point name -> parameter, in order of first appearance."""
    arrays: dict[str, tuple[str, list[str]]]
    """Array as written -> parameter, names of its points by index."""

    def position(self, node: ast.AST) -> int:
        return self.at(getattr(node, "col_offset", 0))

    def at(self, column: int) -> int:
        return self.positions[min(column, len(self.positions) - 1)] if self.positions else 0


class _Tokens:
    """Cuts source text into tokens; points become ``p0``, ``p1``, ..."""

    def __init__(self, source: str, known: Mapping[str, int]) -> None:
        self._source = source
        self._known = known
        self._points: dict[str, str] = {}
        self._arrays: dict[str, tuple[str, list[str]]] = {}

    def text(self) -> _Text:
        python: list[str] = []
        positions: list[int] = []
        for token, position in self._tokens():
            python.append(token)
            positions.extend([position + 1] * len(token))
        return _Text("".join(python), positions, self._points, self._arrays)

    def _tokens(self) -> Iterator[tuple[str, int]]:
        at = 0
        while at < len(self._source):
            token, end = self._next(at)
            yield token, at
            at = end

    def _next(self, at: int) -> tuple[str, int]:
        if match := _SPACE.match(self._source, at):
            return " ", match.end()
        if match := _NUMBER.match(self._source, at):
            return f" {match[0]} ", match.end()
        if match := _OPERATOR.match(self._source, at):
            return match[0], match.end()
        if match := _ARRAY.match(self._source, at):
            return self._array(match, at), match.end()
        if match := _RUN.match(self._source, at):
            return self._word(match[0], at)
        raise ExpressionError(f"{self._source[at]!r} has no meaning here", at + 1)

    def _word(self, run: str, at: int) -> tuple[str, int]:
        identifier = _IDENTIFIER.match(run)
        first = identifier[0] if identifier else run
        point = self._longest_point(run)
        if first in _WORDS and len(point) <= len(first):
            return f" {first} ", at + len(first)
        called = _OPENS_CALL.match(self._source, at + len(first)) is not None
        if first in _CALLS and called:
            return first, at + len(first)
        if point:
            parameter = self._points.setdefault(point, f"p{len(self._points)}")
            return f" {parameter} ", at + len(point)
        self._unknown(run, first, called, at)

    def _array(self, match: re.Match[str], at: int) -> str:
        text, head, tail = match[0], f"{match[1]}[", f"]{match[2]}"
        if text not in self._arrays:
            inner = slice(len(head), -len(tail))
            found = [n for n in self._known if n.startswith(head) and n.endswith(tail) and n[inner].isdecimal()]
            if not found:
                raise ExpressionError(f"no points are called {head}0{tail}, {head}1{tail}, ...", at + 1, match[1])
            for name in (names := sorted(found, key=lambda name: int(name[inner]))):
                self._points.setdefault(name, f"p{len(self._points)}")
            self._arrays[text] = f"a{len(self._arrays)}", names
        return f" {self._arrays[text][0]} "

    def _longest_point(self, run: str) -> str:
        for end in range(len(run), 0, -1):
            boundary = end == len(run) or not (run[end].isalnum() or run[end] == "_")
            if boundary and run[:end] in self._known:
                return run[:end]
        return ""

    def _unknown(self, run: str, first: str, called: bool, at: int) -> NoReturn:
        if called and first == run:
            raise ExpressionError(f"no function is called {first}{nearest(first, _CALLS - {'quality'})}", at + 1)
        if first in _CALLS:
            raise ExpressionError(f"{first} is a function: {first}(...)", at + 1)
        run = run.rstrip("/-.[")
        raise ExpressionError(f"no point is called {run}{nearest(run, near_names(run, self._known))}", at + 1, run)


def near_names(name: str, known: Mapping[str, int], most: int = 400) -> list[str]:
    """Names worth comparing with a misspelled one: those with the same last part or in the same folder."""
    folder, _, last = name.rpartition("/")
    if len(known) <= most:
        return list(known)
    near = (other for other in known if other.endswith(f"/{last}") or other.rpartition("/")[0] == folder)
    return [other for other, _ in zip(near, range(most), strict=False)]


class _Checked(ast.NodeTransformer):
    """Checks every node against the whitelist and makes numbers floats, so nothing grows without bound."""

    def __init__(self, text: _Text) -> None:
        self._text = text
        self.guarded: set[str] = set()
        self.plain: set[str] = set()

    def _refuse(self, node: ast.AST, message: str) -> NoReturn:
        raise ExpressionError(message, self._text.position(node))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, _NODES + _OPERATORS):
            self._refuse(node, "this cannot stand in an expression")
        return super().generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, int | float) or isinstance(node.value, bool):
            self._refuse(node, "only numbers can stand here")
        try:
            value = float(node.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            self._refuse(node, "the number is too large")
        return ast.copy_location(ast.Constant(value), node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if _is_array(node):
            self._refuse(node, f"an array of points stands in {', '.join(OF_ARRAYS)} alone")
        self.plain.add(node.id)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        # "a and b" is 1 or 0 here, never one of its operands
        node.values = [self.visit(value) for value in node.values]
        zero = ast.copy_location(ast.Constant(0.0), node)
        return ast.copy_location(ast.Compare(left=node, ops=[ast.NotEq()], comparators=[zero]), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if not isinstance(node.op, ast.Pow):
            return self.generic_visit(node)
        exponent = _constant(node.right)
        if exponent is not None and abs(exponent) > MAX_EXPONENT:
            self._refuse(node.right, f"the exponent is beyond {MAX_EXPONENT:g}")
        name = ast.copy_location(ast.Name(_POWER, ast.Load()), node)
        arguments = [self.visit(node.left), self.visit(node.right)]
        return ast.copy_location(ast.Call(func=name, args=arguments, keywords=[]), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not isinstance(node.func, ast.Name) or node.keywords:
            self._refuse(node, "only a function's name can stand before '('")
        name = node.func.id
        if name == "good":
            return self._good(node)
        if name == "quality":
            self._refuse(node, "quality() belongs to interlocks: here good(point) gives 1 or 0")
        if name not in FUNCTIONS:
            self._refuse(node, "an operator is missing before '('")
        if name in OF_ARRAYS and any(map(_is_array, node.args)):
            node.func.id = f"{name}_of"
            node.args = [argument if _is_array(argument) else self.visit(argument) for argument in node.args]
            return node
        _, fewest, most = FUNCTIONS[name]
        if not fewest <= len(node.args) <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            self._refuse(node, f"{name} takes {wanted} value{'s' * (wanted != '1')}, found {len(node.args)}")
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def _good(self, node: ast.Call) -> ast.AST:
        if len(node.args) != 1 or not isinstance(node.args[0], ast.Name) or _is_array(node.args[0]):
            self._refuse(node, "good takes the name of one point")
        parameter = node.args[0].id
        self.guarded.add(parameter)
        return ast.copy_location(ast.Name(f"g{parameter[1:]}", ast.Load()), node)


def _is_array(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id.startswith("a")


def _constant(node: ast.expr) -> float | None:
    sign = 1.0
    while isinstance(node, ast.UnaryOp):
        sign = -sign if isinstance(node.op, ast.USub) else sign
        node = node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    return sign * value if isinstance(value, int | float) else None


def _depth(tree: ast.AST) -> int:
    """Levels of nodes; counts without recursion."""
    level: Sequence[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _parse(text: _Text) -> ast.Expression:
    try:
        tree = ast.parse(text.python.strip(), mode="eval")
    except SyntaxError as error:
        lead = len(text.python) - len(text.python.lstrip())
        position = text.at(lead + max((error.offset or 1) - 1, 0))
        raise ExpressionError(_syntax_words(error.msg), position) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError("too long or too deep to be read") from None
    if _depth(tree) > MAX_DEPTH:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels: make two calculated points of it")
    return tree


def _syntax_words(message: str) -> str:
    table = (
        ("was never closed", "a ')' is missing"),
        ("unmatched ')'", "a ')' too many"),
        ("too many nested", "nested too deep"),
        ("expected 'else'", "'if' needs its 'else': a if condition else b"),
        ("leading zeros", "a number does not begin with 0"),
    )
    return next((words for sign, words in table if sign in message), "an operator or a value is missing")


class Expression:
    """One compiled expression; picklable (it is compiled again where it is unpickled).

    `source` is the text, `rows` the table row by point name. `inputs` are the rows it reads, in order of first
    appearance; `guarded` marks the inputs that stand in ``good(...)``: the author deals with their quality.
    Raises `ExpressionError`.
    """

    __slots__ = ("_arrays", "_run", "_single", "_takes_good", "guarded", "inputs", "points", "source")

    def __init__(self, source: str, rows: Mapping[str, int]) -> None:
        if len(source) > MAX_LENGTH:
            raise ExpressionError(f"longer than {MAX_LENGTH} characters")
        if not source.strip():
            raise ExpressionError("the expression is empty")
        text = _Tokens(source, rows).text()
        checker = _Checked(text)
        tree = checker.visit(_parse(text))
        self.source = source
        self.points: tuple[str, ...] = tuple(text.points)
        self.inputs: NDArray[np.uint32] = np.array([rows[name] for name in self.points], np.uint32)
        parameters = list(text.points.values())
        self.guarded: NDArray[np.bool_] = np.array([name in checker.guarded for name in parameters], np.bool_)
        self._takes_good = bool(checker.guarded)
        at = {name: i for i, name in enumerate(self.points)}
        self._arrays = [np.array([at[name] for name in names], np.intp) for _, names in text.arrays.values()]
        used = checker.plain | checker.guarded if self._arrays else set(parameters)
        self._single = np.array([i for i, name in enumerate(parameters) if name in used], np.intp)
        alone = [name for name in parameters if name in used]
        self._run = _function(tree, alone, self._takes_good, [name for name, _ in text.arrays.values()])

    def evaluate(self, values: NDArray[np.float64], good: NDArray[np.bool_] | None = None) -> float:
        """The result for one set of input values.

        `values` and `good` have the shape of `inputs`; `good` (all True if left out) is what ``good(point)`` sees.
        NaN stands for division by zero, overflow, a root of a negative number and their like.
        """
        arguments = values.tolist() if not self._arrays else values[self._single].tolist()
        if self._takes_good:
            arguments += [1.0] * len(arguments) if good is None else good[self._single].tolist()
        try:
            if not self._arrays:
                result = float(self._run(*arguments))
            else:
                with np.errstate(all="ignore"):
                    result = float(self._run(*arguments, *[values[array] for array in self._arrays]))
        except (ArithmeticError, ValueError):
            return math.nan
        return result if math.isfinite(result) else math.nan

    def __reduce__(self) -> tuple[type[Expression], tuple[str, dict[str, int]]]:
        rows = {name: int(row) for name, row in zip(self.points, self.inputs, strict=True)}
        return Expression, (self.source, rows)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def _function(tree: ast.Expression, alone: list[str], takes_good: bool, arrays: list[str]) -> Callable[..., Any]:
    names = [*alone, *(f"g{name[1:]}" for name in alone if takes_good), *arrays]
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(name) for name in names], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    wrapped = ast.Expression(ast.Lambda(args=arguments, body=tree.body))
    code = compile(ast.fix_missing_locations(wrapped), "<expression>", "eval")
    # the tree holds whitelisted nodes only, and the namespace has no builtins
    run: Callable[..., Any] = eval(code, dict(_NAMESPACE))  # noqa: S307
    return run
