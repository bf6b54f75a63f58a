"""DBC files: loaded once, asked for messages and signals. Imported only while a site is checked.

cantools parses; what a signal means is taken over into `protocols.can.plan`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cantools.database import load_string
from cantools.database.can import Database, Message, Signal
from cantools.database.errors import Error

from protocols.can.plan import EXTENDED, Field

MOST_BYTES = 32 * 1024 * 1024


class DbcError(ValueError):
    """The file is no DBC that can be used; the text says why, for a person."""


@dataclass(frozen=True, slots=True)
class Dbc:
    """One file. `doubt` is what cantools found wrong with it and what can be lived with."""

    messages: dict[str, Message]
    doubt: str = ""


@functools.lru_cache(maxsize=8)
def _load(path: str, stamp: tuple[int, int]) -> Dbc:
    try:
        if stamp[1] > MOST_BYTES:
            raise DbcError(f"larger than {MOST_BYTES >> 20} MB: not a DBC")
        text = Path(path).read_bytes().decode("cp1252", "replace")
    except OSError as error:
        raise DbcError(f"cannot be read: {error.strerror}") from None
    try:
        return Dbc(_by_name(load_string(text, "dbc", strict=True)))
    except Error as error:
        doubt = _one_line(error)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        raise DbcError(f"not readable as DBC: {_one_line(error)}") from None
    try:
        return Dbc(_by_name(load_string(text, "dbc", strict=False)), doubt)
    except (Error, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        raise DbcError(f"not readable as DBC: {_one_line(error)}") from None


def load(path: str) -> Dbc:
    """The messages of a file. Raises `DbcError`."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise DbcError(f"cannot be read: {error.strerror}") from None
    return _load(path, (found.st_mtime_ns, found.st_size))


def _by_name(database: object) -> dict[str, Message]:
    if not isinstance(database, Database):
        raise DbcError("not a DBC: no CAN messages in it")
    return {message.name: message for message in database.messages}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def key_of(message: Message, id_offset: int = 0) -> int:
    """The key of its frames, with the device's offset."""
    return message.frame_id + id_offset | (EXTENDED if message.is_extended_frame else 0)


def cycle_s(message: Message) -> float:
    """GenMsgCycleTime in s; 0 when the file says none."""
    return (message.cycle_time or 0) / 1000


def field_of(signal: Signal) -> Field:
    """Its bits."""
    big = signal.byte_order == "big_endian"
    start = 8 * (signal.start // 8) + 7 - signal.start % 8 if big else signal.start
    return Field(start, signal.length, big, signal.is_signed, bool(signal.conversion.is_float))


def conditions(message: Message, signal: Signal) -> Iterator[tuple[Signal, frozenset[int]]]:
    """(multiplexer, its values with which this signal is in the frame), from the innermost outwards."""
    while signal.multiplexer_signal is not None:
        selector = message.get_signal_by_name(signal.multiplexer_signal)
        yield selector, frozenset(signal.multiplexer_ids or ())
        signal = selector


def states(signal: Signal) -> dict[str, int]:
    """Value table: word -> raw value."""
    return {str(word): int(raw) for raw, word in (signal.conversion.choices or {}).items()}


def exact_filter(key: int) -> tuple[int, int, bool]:
    """(identifier, mask, 29 bit) that lets in this key alone."""
    return chosen_filter(key & ~EXTENDED, None, bool(key & EXTENDED))


def chosen_filter(identifier: int, mask: int | None, extended: bool) -> tuple[int, int, bool]:
    """A filter as written, with every bit of the identifier for a mask that was left out."""
    every = (1 << 29) - 1 if extended else (1 << 11) - 1
    return identifier, every if mask is None else mask, extended
