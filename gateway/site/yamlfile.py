"""YAML files with the place of every key, read from the parser's events with bounded depth and size.

The scalars follow the YAML 1.2 core schema: ``yes``, ``on`` and ``12:30`` are text (a model that wants a
yes or no still takes ``yes``). Aliases and the merge key ``<<`` are understood; other tags are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.contracts import Place, Report

Loc = tuple[str | int, ...]
"""The way to a value: keys and list indices from the top."""

MAX_DEPTH: Final = 32
MAX_NODES: Final = 200_000
MAX_BYTES: Final = 64 << 20

_PARSER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAG: Final = "tag:yaml.org,2002:str"

_CORE_SCHEMA: Final[tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...]] = (
    (re.compile(r"(?:~|null|Null|NULL|)\Z"), lambda text: None),
    (re.compile(r"(?:true|True|TRUE)\Z"), lambda text: True),
    (re.compile(r"(?:false|False|FALSE)\Z"), lambda text: False),
    (re.compile(r"[-+]?[0-9]{1,30}\Z"), int),
    (re.compile(r"0x[0-9a-fA-F]{1,16}\Z"), lambda text: int(text, 16)),
    (re.compile(r"0o[0-7]{1,21}\Z"), lambda text: int(text, 8)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(?:nan|NaN|NAN)\Z"), lambda text: float("nan")),
)

_PLAIN_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("found a tab character", "a tab: indent with spaces"),
    (
        "cannot start any token",
        "a tab or another character that cannot stand here: indent with spaces, put text with special characters"
        " in quotes",
    ),
    ("mapping values are not allowed", "a second ':' in one value, or wrong indentation: put the value in quotes"),
    ("could not find expected ':'", "a ':' is missing after the key (or the line is not indented as it should be)"),
    ("did not find expected key", "a key was expected: wrong indentation, or a ':' or '-' is missing"),
    ("did not find expected '-' indicator", "a '-' was expected: the items of a list must stand one below the other"),
    ("expected ',' or ']'", "a ',' or the closing ']' is missing"),
    ("expected ',' or '}'", "a ',' or the closing '}' is missing"),
    ("unexpected end of stream", "a quote is not closed"),
    ("unexpected document indicator", "a quote is not closed"),
    ("control characters are not allowed", "a control character stands in the file"),
)


@dataclass(slots=True)
class Document:
    """What a file says: plain `data`, where each value stands, and which values must not be shown."""

    file: str
    data: Any
    places: dict[Loc, Place] = field(default_factory=dict)
    hidden: set[Loc] = field(default_factory=set)

    def place(self, loc: Loc) -> Place:
        """Where `loc` stands, or the nearest thing around it."""
        for end in range(len(loc), -1, -1):
            if (place := self.places.get(loc[:end])) is not None:
                return place
        return Place(self.file)


class _Refused(Exception):
    """The file is not read any further."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    nodes: int


def read_text(path: Path, report: Report, asked_at: Place) -> str | None:
    """A file's text (UTF-8, with or without byte-order mark); problems to `report`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            report.error(asked_at, f"{path} is larger than {MAX_BYTES >> 20} MB")
            return None
        data = path.read_bytes()
    except OSError as error:
        report.error(asked_at, f"cannot read {path}: {(error.strerror or str(error)).lower()}")
        return None
    except ValueError:
        report.error(asked_at, f"{str(path)!r} is not a file name")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        report.error(
            Place(str(path), line),
            f"not UTF-8 text (byte 0x{data[error.start]:02X}): save the file as UTF-8 (Excel: 'CSV UTF-8')",
        )
        return None


def read_yaml(path: Path, report: Report) -> Document | None:
    """Read one YAML file; None (and problems in `report`) when it cannot be read at all."""
    text = read_text(path, report, Place(str(path)))
    return None if text is None else parse_yaml(text, str(path), report)


def parse_yaml(text: str, file: str, report: Report) -> Document | None:
    """Parse YAML text; duplicate keys are errors in `report`, anything worse returns None."""
    document = Document(file, None)
    try:
        document.data = _Builder(text, document, report).build()
    except _Refused as refused:
        report.error(Place(file, refused.line), refused.message)
        return None
    except yaml.MarkedYAMLError as error:
        report.error(*_syntax(error, file))
        return None
    except yaml.YAMLError as error:
        report.error(Place(file), f"not readable as YAML: {' '.join(str(error).split())}")
        return None
    return document


def _syntax(error: yaml.MarkedYAMLError, file: str) -> tuple[Place, str]:
    problem = error.problem or error.context or "not YAML"
    words = next((words for sign, words in _PLAIN_WORDS if sign in problem), problem)
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    start = error.context_mark
    if start is not None and line is not None and start.line + 1 != line:
        words += f" (what is not finished began in line {start.line + 1})"
    return Place(file, line), words


def _line(event: yaml.Event) -> int:
    mark: Any = event.start_mark
    return int(mark.line) + 1


def scalar_value(text: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema."""
    return next((make(text) for pattern, make in _CORE_SCHEMA if pattern.match(text)), text)


class _Builder:
    """Events to data. Depth and the number of nodes (aliases counted as often as they are used) are bounded."""

    def __init__(self, text: str, document: Document, report: Report) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_PARSER)
        self._document = document
        self._report = report
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._makers: dict[type[yaml.Event], Callable[[Any, Loc], Any]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.SequenceStartEvent: self._sequence,
            yaml.MappingStartEvent: self._mapping,
            yaml.AliasEvent: self._alias,
        }

    def build(self) -> Any:
        """The one document of the stream; None for an empty one."""
        data = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Refused(_line(event), "a second document ('---') begins here: one file is one document")
                data = self._node(next(self._events), ())
        return data

    def _node(self, event: yaml.Event, loc: Loc) -> Any:
        if len(loc) > MAX_DEPTH:
            raise _Refused(_line(event), f"nested deeper than {MAX_DEPTH} levels")
        self._count(1, event)
        before = self._nodes
        value = self._makers[type(event)](event, loc)
        anchor = getattr(event, "anchor", None)
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._anchors[anchor] = _Anchored(value, self._nodes - before + 1)
        return value

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _Refused(_line(event), f"more than {MAX_NODES} values (aliases count each time they are used)")

    def _alias(self, event: yaml.AliasEvent, _loc: Loc) -> Any:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            raise _Refused(_line(event), f"*{event.anchor} is used, but no finished &{event.anchor} stands before it")
        self._count(anchored.nodes, event)
        return anchored.value

    def _scalar(self, event: yaml.ScalarEvent, _loc: Loc) -> Any:
        self._check_tag(event, (None, "!", _STRING_TAG))
        if not event.implicit[0]:
            return event.value
        return scalar_value(event.value)

    def _sequence(self, event: yaml.SequenceStartEvent, loc: Loc) -> list[Any]:
        self._check_tag(event, (None, "!"))
        values: list[Any] = []
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            here = (*loc, len(values))
            self._document.places[here] = Place(self._document.file, _line(item))
            values.append(self._node(item, here))
        return values

    def _mapping(self, event: yaml.MappingStartEvent, loc: Loc) -> dict[str, Any]:
        self._check_tag(event, (None, "!"))
        self._document.places.setdefault(loc, Place(self._document.file, _line(event)))
        values: dict[str, Any] = {}
        merged: list[tuple[yaml.Event, Any]] = []
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            self._entry(key, loc, values, merged)
        for at, more in merged:
            self._merge(at, more, loc, values)
        return values

    def _entry(self, key: yaml.Event, loc: Loc, values: dict[str, Any], merged: list[tuple[yaml.Event, Any]]) -> None:
        if not isinstance(key, yaml.ScalarEvent) or not key.value:
            raise _Refused(_line(key), "a key must be a word")
        name: str = key.value
        here = (*loc, name)
        if name == "<<" and key.implicit[0]:
            merged.append((key, self._node(next(self._events), (*loc, "<<"))))
            return
        first = self._document.places.get(here) if name in values else None
        self._document.places[here] = Place(self._document.file, _line(key))
        values[name] = self._node(next(self._events), here)
        if first is not None:
            self._report.error(
                Place(self._document.file, _line(key)),
                f"key {shown_key(name)} stands here a second time (first in line {first.line})",
            )

    def _merge(self, at: yaml.Event, more: Any, loc: Loc, values: dict[str, Any]) -> None:
        sources = more if isinstance(more, list) else [more]
        if not all(isinstance(source, dict) for source in sources):
            raise _Refused(_line(at), "<< takes a mapping (or a list of mappings)")
        for source in sources:
            for name, value in source.items():
                if name not in values:
                    values[name] = value
                    self._document.places[(*loc, name)] = Place(self._document.file, _line(at))

    def _check_tag(self, event: Any, known: tuple[str | None, ...]) -> None:
        if event.tag not in known:
            raise _Refused(_line(event), f"the tag {shown_key(str(event.tag))} is not known here: leave it out")


def shown_key(name: str) -> str:
    """A key for a message: on one line, not endless."""
    text = name if name.isprintable() else repr(name)[1:-1]
    return text if len(text) <= 60 else text[:57] + "..."
