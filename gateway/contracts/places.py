"""Where something is wrong in the engineer's files, and the list of all that is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: a line of YAML, or a row and column of CSV. Rows count as a spreadsheet shows them."""

    file: str
    line: int | None = None
    column: str | None = None
    row: bool = False

    def __str__(self) -> str:
        text = self.file
        if self.line is not None:
            text += f", row {self.line}" if self.row else f", line {self.line}"
        if self.column is not None:
            text += f", column {self.column}"
        return text

    def at(self, column: str) -> Place:
        """The same row, in this column."""
        return Place(self.file, self.line, column, self.row)


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence about one place."""

    place: Place
    message: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {'' if self.fatal else 'warning: '}{self.message}"


@dataclass(slots=True)
class Report:
    """Collects every problem of a configuration before anyone stops."""

    problems: list[Problem] = field(default_factory=list)

    def error(self, place: Place, message: str) -> None:
        """Something that keeps the site from starting."""
        self.problems.append(Problem(place, message))

    def warning(self, place: Place, message: str) -> None:
        """Something the engineer should know."""
        self.problems.append(Problem(place, message, fatal=False))

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.fatal]

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self.problems if not problem.fatal]


class ConfigError(Exception):
    """The configuration does not start. `report` holds every problem."""

    def __init__(self, report: Report) -> None:
        super().__init__("\n".join(str(problem) for problem in report.problems))
        self.report = report


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)`` when a known word is near, else an empty string."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {matches[0]}?)" if matches else ""
