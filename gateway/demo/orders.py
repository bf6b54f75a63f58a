"""The simulator's standard input: one order per line, in words. Pure.

::

    frequency -0.5 10      frequency 49.5      estop press      freeze meter      set poi/voltage 31.5
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.contracts import nearest

MAX_LINE = 1000
"""Longer lines are nobody's order; they are refused, and the rest of the stream is read on."""


class OrderError(ValueError):
    """A line that is no order. The text says what was expected."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order: its verb and its arguments, already of the right type (float, bool or str)."""

    verb: str
    arguments: tuple[float | bool | str | None, ...]


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise OrderError(f"expected a number, not {word!r}") from None
    if not math.isfinite(value):
        raise OrderError(f"expected a finite number, not {word!r}")
    return value


def _seconds(word: str) -> float:
    value = _number(word)
    if not 0.0 <= value <= 86_400.0:
        raise OrderError(f"expected seconds from 0 to 86400, not {word!r}")
    return value


def _switch(word: str) -> bool:
    if word not in ("on", "off"):
        raise OrderError(f"expected on or off, not {word!r}")
    return word == "on"


def _button(word: str) -> bool:
    words = {"press": True, "release": False, "on": True, "off": False}
    if word not in words:
        raise OrderError(f"expected press or release, not {word!r}")
    return words[word]


def _number_or_free(word: str) -> float | None:
    return None if word in ("free", "off") else _number(word)


def _word(word: str) -> str:
    return word


@dataclass(frozen=True, slots=True)
class _Form:
    """How a verb is written. `shorter`: what its arguments are where there is one less than in `arguments`."""

    usage: str
    arguments: tuple[Callable[[str], float | bool | str | None], ...]
    shorter: tuple[Callable[[str], float | bool | str | None], ...] | None = None

    def readers(self, count: int) -> tuple[Callable[[str], float | bool | str | None], ...] | None:
        """For so many words; None when there is no such form."""
        return next((each for each in (self.arguments, self.shorter) if each is not None and len(each) == count), None)


FORMS: Final[Mapping[str, _Form]] = {
    "frequency": _Form(
        "frequency DELTA_HZ SECONDS, frequency HZ or frequency free", (_number, _seconds), (_number_or_free,)
    ),
    "cell_temp": _Form("cell_temp CELSIUS or cell_temp free", (_number_or_free,)),
    "fault": _Form("fault on|off", (_switch,)),
    "estop": _Form("estop press|release", (_button,)),
    "local": _Form("local on|off", (_switch,)),
    "freeze": _Form("freeze DEVICE", (_word,)),
    "thaw": _Form("thaw DEVICE", (_word,)),
    "unplug": _Form("unplug DEVICE", (_word,)),
    "plug": _Form("plug DEVICE", (_word,)),
    "set": _Form("set POINT VALUE", (_word, _number)),
    "unset": _Form("unset POINT", (_word,)),
}
"""Every verb, how it is written, and what its arguments are."""


def parse(line: str) -> Order | None:
    """The order that a line gives; None for an empty line or a comment (`#`). Raises `OrderError`."""
    if len(line) > MAX_LINE:
        raise OrderError(f"a line of more than {MAX_LINE} characters is no order")
    words = line.partition("#")[0].split()
    if not words:
        return None
    verb = words[0].lower()
    form = FORMS.get(verb)
    if form is None:
        raise OrderError(f"unknown order {words[0][:40]!r}{nearest(verb, FORMS)}; known are: {', '.join(FORMS)}")
    readers = form.readers(len(words) - 1)
    if readers is None:
        raise OrderError(f"expected: {form.usage}")
    return Order(verb, tuple(read(word) for read, word in zip(readers, words[1:], strict=True)))


class LineSplitter:
    """Cuts a byte stream into lines, however it is chunked; bytes that are no UTF-8 are replaced."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now. Of a line beyond `MAX_LINE` only as much as makes `parse` refuse it."""
        *lines, rest = (self._rest + data).split(b"\n")
        complete = [line for line in lines[:1] if not self._skipping] + lines[1:]
        if lines:
            self._skipping = False
        self._rest = b"" if self._skipping else rest
        if len(self._rest) > MAX_LINE:
            complete.append(self._rest)
            self._rest, self._skipping = b"", True
        return [line[: MAX_LINE + 1].decode("utf-8", "replace").rstrip("\r") for line in complete]
