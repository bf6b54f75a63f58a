"""How every command speaks: exit codes, errors of one form, colours and progress only where a person looks on.

An error is one line on standard error, ``gridgate: what, where: what was expected``. What a command was asked for goes
to standard output and nothing else does, so that it can be piped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from enum import IntEnum
from types import TracebackType
from typing import Any, Final, NoReturn, TextIO


class Exit(IntEnum):
    """How a command ended; `EXIT_WORDS` says it in words."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


EXIT_WORDS: Final = {
    Exit.DONE: "done; what was examined is well",
    Exit.FAILED: "it could not be done, or what was examined is not well; standard error says why",
    Exit.USAGE: "wrongly asked: an unknown command or option, a missing or impossible value",
    Exit.INTERRUPTED: "ended by Ctrl-C",
}


def complain(text: object) -> None:
    """One line about an error on standard error."""
    line = " ".join(str(text).split("\n"))
    sys.stderr.write(f"gridgate: {line}\n")


def refuse(text: object) -> int:
    """Say why it cannot be done; the exit code."""
    complain(text)
    return Exit.FAILED


def misused(text: object) -> int:
    """Say what was wrongly asked; the exit code."""
    complain(text)
    return Exit.USAGE


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.removeprefix("gridgate").strip()
        complain(f"{command + ': ' if command else ''}{message} (see: {self.prog} --help)")
        raise SystemExit(int(Exit.USAGE))


class Colour(IntEnum):
    """What a person's eye is drawn to; the numbers of ECMA-48 SGR."""

    RED = 31
    GREEN = 32
    YELLOW = 33


_PAINT: Final = re.compile(r"\x1b\[[0-9;]*m")


def colourful(stream: TextIO) -> bool:
    """On a terminal that can, unless the person said otherwise (``NO_COLOR``, see no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: Colour | None, stream: TextIO | None = None) -> str:
    """The text in a colour, where the stream (standard output) shows colours."""
    if colour is None or not colourful(stream or sys.stdout):
        return text
    return f"\x1b[{colour.value}m{text}\x1b[0m"


def fitted(line: str, columns: int) -> str:
    """What fits into so many columns; a line that is too long loses its colours with its end."""
    plain = _PAINT.sub("", line)
    return line if len(plain) <= columns else plain[:columns]


class Progress:
    """A bar on standard error while something long goes on; nothing where that is no terminal.

    ``with Progress("export", total) as progress: progress.step()``; a `total` of 0 is not known: only a count is shown.
    Not `shown`: the person watches what comes out already.
    """

    _EVERY_S: Final = 0.1
    _WIDTH: Final = 30

    def __init__(self, what: str, total: int = 0, shown: bool = True) -> None:
        self._what, self._total, self._done = what, total, 0
        self._shown = shown and sys.stderr.isatty()
        self._next_s = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        if self._shown and (now_s := time.monotonic()) >= self._next_s:
            self._next_s = now_s + self._EVERY_S
            sys.stderr.write(f"\r{self._line()}\x1b[K")
            sys.stderr.flush()

    def _line(self) -> str:
        if not self._total:
            return f"{self._what} {self._done:,}"
        part = min(1.0, self._done / self._total)
        full = round(part * self._WIDTH)
        return f"{self._what} [{'#' * full}{'.' * (self._WIDTH - full)}] {part:4.0%}"


def answer(text: str, facts: Any, as_json: bool) -> None:
    """What a command found or did, on standard output: in words, or as one JSON value on a line."""
    sys.stdout.write((json.dumps(facts) if as_json else text) + "\n")
