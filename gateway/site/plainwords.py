"""pydantic's findings in the words of the person who wrote the file. Imported only while a site is checked."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gateway.contracts import Place, Report, nearest
from gateway.site.yamlfile import Loc, shown_key

Model = TypeVar("Model", bound=BaseModel)

_Detail = Mapping[str, Any]

_EXPECTED: Final[Mapping[str, str]] = {
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a whole number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "string_type": "expected text (numbers in quotes)",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "finite_number": "expected a finite number",
    "none_required": "expected nothing",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "multiple_of": "expected a multiple of {multiple_of}",
    "too_short": "expected at least {min_length} of them",
    "too_long": "expected at most {max_length} of them",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
}
"""Error type of pydantic to what was expected; what was found is added."""

_PATTERNS: Final[Mapping[str, str]] = {
    r"^[A-Za-z][A-Za-z0-9_.-]*$": "expected a name (a letter, then letters, digits, _ . -)",
    r"^[A-Za-z_][A-Za-z0-9_.\[\]-]*(/[A-Za-z0-9_.\[\]-]+)*$": (
        "expected a point name (letters, digits, _ . - [ ], parts separated by /)"
    ),
}


class Words:
    """Turns a `ValidationError` into problems. `place` finds where a loc stands, `hidden` says what not to show."""

    def __init__(
        self,
        report: Report,
        place: Callable[[Loc], Place],
        hidden: Callable[[Loc], bool] = lambda loc: False,
        noun: str = "key",
    ) -> None:
        self._report = report
        self._place = place
        self._hidden = hidden
        self._noun = noun

    def validate(self, model: type[Model], data: object) -> Model | None:
        """The model from `data`, or None with every problem in the report."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self.tell(model, error)
            return None

    def tell(self, model: type[BaseModel], error: ValidationError, already_told: frozenset[str] = frozenset()) -> None:
        """Report every finding of `error`, except for missing columns that the header check `already_told`."""
        for place, message in self._findings(model, error, already_told):
            self._report.error(place, message)

    def _findings(
        self, model: type[BaseModel], error: ValidationError, already_told: frozenset[str]
    ) -> Iterator[tuple[Place, str]]:
        for detail in error.errors(include_url=False):
            loc: Loc = tuple(detail["loc"])
            kind = detail["type"]
            if kind == "missing":
                if loc[-1] not in already_told:
                    yield self._place(loc), self._missing(loc)
            elif kind == "extra_forbidden":
                yield self._place(loc), self._unknown(model, loc)
            else:
                yield self._place(loc), self._wrong(loc, detail)

    def _missing(self, loc: Loc) -> str:
        what = f"{self._noun} {dotted(loc)}"
        return f"{what} is empty, but needed" if self._noun == "column" else f"{what} is missing"

    def _unknown(self, model: type[BaseModel], loc: Loc) -> str:
        known = known_keys(model_at(model, loc[:-1]))
        return f"unknown {self._noun} {dotted(loc)}{nearest(str(loc[-1]), known)}"

    def _wrong(self, loc: Loc, detail: _Detail) -> str:
        found = "" if detail["type"] in ("value_error", "assertion_error") else self._found(loc, detail)
        subject = f"{dotted(loc)}: " if loc and self._noun == "key" else ""
        return f"{subject}{_expected(detail)}{found}"

    def _found(self, loc: Loc, detail: _Detail) -> str:
        if self._hidden(loc):
            return ""
        return f", found {found_words(detail['input'])}"


def _expected(detail: _Detail) -> str:
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "value_error":
        return str(context.get("error", detail["msg"]))
    if kind in ("literal_error", "enum"):
        return f"expected {context['expected']}{_near_literal(detail, context['expected'])}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"expected text of the form {context['pattern']}")
    if kind in _EXPECTED:
        return _EXPECTED[kind].format(**{key: _number(value) for key, value in context.items()})
    return str(detail["msg"])


def _near_literal(detail: _Detail, expected: str) -> str:
    words = [word.strip("' ") for part in expected.split(" or ") for word in part.split(",")]
    return nearest(str(detail["input"]).lower(), words)


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def found_words(value: object) -> str:
    """What stands there, short and on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | BaseModel):
        return "keys and values"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return f'"{shown_key(value)}"'
    return shown_key(str(value))


def dotted(loc: Loc) -> str:
    """A loc for a message: ``apci.k``, ``droop[0].unit``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{shown_key(part)}" if text else shown_key(part)
    return text


def known_keys(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    """Keys (or columns) of a model as they are written in files, by alias where there is one."""
    if model is None:
        return {}
    return {info.alias or name: info for name, info in model.model_fields.items()}


def model_at(model: type[BaseModel] | None, loc: Loc) -> type[BaseModel] | None:
    """The model of a nested mapping; None where there is none."""
    for part in loc:
        if isinstance(part, int):
            continue
        info = known_keys(model).get(part)
        if info is None:
            continue
        model = _first_model(info.annotation)
    return model


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    found = (_first_model(inner) for inner in typing.get_args(annotation))
    return next((model for model in found if model is not None), None)


def takes_float(annotation: Any) -> bool:
    """True when a field of this annotation may hold a float."""
    return annotation is float or any(takes_float(inner) for inner in typing.get_args(annotation))
