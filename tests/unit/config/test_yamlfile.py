"""YAML: values, places, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gateway.contracts import Report
from gateway.site.yamlfile import Document, parse_yaml


def read(text: str) -> Document:
    report = Report()
    document = parse_yaml(text, "x.yaml", report)
    assert document is not None
    assert not report.problems
    return document


def refusal(text: str) -> str:
    report = Report()
    parse_yaml(text, "x.yaml", report)
    assert len(report.problems) == 1, report.problems
    return str(report.problems[0])


SCALARS: dict[str, Any] = {
    "1": 1,
    "-0": 0,
    "0x1F": 31,
    "0o17": 15,
    "1.5e3": 1500.0,
    ".5": 0.5,
    "-.inf": -math.inf,
    "true": True,
    "FALSE": False,
    "~": None,
    "": None,
    "yes": "yes",
    "no": "no",
    "on": "on",
    "12:30": "12:30",
    "1_000": "1_000",
    "2026-11-21": "2026-11-21",
    "'1'": "1",
    '"true"': "true",
    "!!str 1": "1",
    "017": 17,
    "text # comment": "text",
    "9" * 40: 1e40,
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_follow_the_core_schema(text: str) -> None:
    value = read(f"key: {text}").data["key"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


def test_every_key_and_item_has_its_line() -> None:
    document = read("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n")
    lines = {loc: place.line for loc, place in document.places.items()}
    assert lines == {(): 1, ("a",): 1, ("a", "b"): 2, ("a", "c"): 3, ("a", "c", 0): 4, ("a", "c", 1): 5} | {
        ("a", "c", 1, "d"): 5
    }
    assert document.place(("a", "c", 1, "missing")).line == 5


def test_aliases_and_merges() -> None:
    document = read("base: &b {unit: 1, scan_ms: 200}\none: {<<: *b, unit: 2}\ntwo: *b\n")
    assert document.data["one"] == {"unit": 2, "scan_ms": 200}
    assert document.data["two"] == {"unit": 1, "scan_ms": 200}
    assert document.place(("one", "scan_ms")).line == 2


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)

REFUSED = {
    BOMB: "x.yaml, line 6: more than 200000 values (aliases count each time they are used)",
    "a: " + "[" * 40 + "]" * 40: "x.yaml, line 1: nested deeper than 32 levels",
    "a: &a [*a]": "x.yaml, line 1: *a is used, but no finished &a stands before it",
    "a: *b": "x.yaml, line 1: *b is used, but no finished &b stands before it",
    "a: !!python/object/apply:os.system [ls]": "x.yaml, line 1: the tag tag:yaml.org,2002:python/object/apply:os.system"
    " is not known here: leave it out",
    "[a]: 1": "x.yaml, line 1: a key must be a word",
    "<<: 3": "x.yaml, line 1: << takes a mapping (or a list of mappings)",
    "a: 1\n---\nb: 2": "x.yaml, line 2: a second document ('---') begins here: one file is one document",
    "a: b: c": "x.yaml, line 1: a second ':' in one value, or wrong indentation: put the value in quotes",
    "a: [1, 2\nb: 3": "x.yaml, line 2: a ',' or the closing ']' is missing (what is not finished began in line 1)",
    "a: 1\n b: 2": "x.yaml, line 2: a second ':' in one value, or wrong indentation: put the value in quotes",
    "a: @b": "x.yaml, line 1: a tab or another character that cannot stand here: indent with spaces, put text with"
    " special characters in quotes",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused_and_where(text: str) -> None:
    assert refusal(text) == REFUSED[text]
