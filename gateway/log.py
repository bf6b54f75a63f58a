"""Structured log lines on stderr: plain words on a terminal, JSON lines elsewhere.

``GRIDGATE_LOG=text`` or ``json`` overrides the choice. Values of secret keys are masked, control characters are
escaped, so one event is one line whatever a peer sent.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway.logfiles import file_handler

if TYPE_CHECKING:  # the supervisor logs too, and is to stay without numpy
    from gateway.contracts.log import Log


NAME: Final = "gridgate"
MASK: Final = "***"
_SECRETS: Final = frozenset({"token", "password", "secret", "passphrase", "key_passphrase"})
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_MAX_VALUE: Final = 20_000


def setup(process: str, level: str = "info") -> None:
    """Send this process's log to stderr under the name `process`. `ValueError` for an unknown level."""
    if level not in _LEVELS:
        raise ValueError(f"unknown log level {level}: one of {', '.join(_LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(process))
    logger = logging.getLogger(NAME)
    file = file_handler(process, _Json(process))
    logger.handlers[:] = [handler] if file is None else [handler, file]
    logger.setLevel(_LEVELS[level])
    logger.propagate = False


def get_log(**facts: object) -> Log:
    """A log with these facts on every line."""
    return _Facts(logging.getLogger(NAME), facts)


class _Facts:
    """Implements `gateway.contracts.Log` over the standard library."""

    __slots__ = ("_facts", "_logger")

    def __init__(self, logger: logging.Logger, facts: Mapping[str, object]) -> None:
        self._logger = logger
        self._facts = facts

    def debug(self, event: str, **facts: object) -> None:
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: object) -> None:
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._write(logging.ERROR, event, facts)

    def bind(self, **facts: object) -> Log:
        return _Facts(self._logger, {**self._facts, **facts})

    def _write(self, level: int, event: str, facts: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, extra={"facts": {**self._facts, **facts}})


def _formatter(process: str) -> logging.Formatter:
    style = os.environ.get("GRIDGATE_LOG", "text" if sys.stderr.isatty() else "json")
    return _Text(process) if style == "text" else _Json(process)


class _Text(logging.Formatter):
    """``12:03:04.123 INFO core device online device=pcs1`` (local time)."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created).astimezone()
        facts = _facts_of(record)
        process = str(facts.pop("process", self._process))
        words = [f"{when:%H:%M:%S}.{int(record.msecs):03d}", record.levelname, process, record.getMessage()]
        pairs = [f"{key}={_quoted(_safe(value))}" for key, value in facts.items()]
        return " ".join(map(escaped, words + pairs))


class _Json(logging.Formatter):
    """One JSON object a line, `time` in UTC."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fixed = {"time": when, "level": record.levelname.lower(), "process": self._process}
        facts = {key: _safe(value) for key, value in _facts_of(record).items()}
        line: dict[str, Any] = {**fixed, "event": record.getMessage()}
        line |= {(f"fact_{key}" if key in ("time", "level", "event") else key): value for key, value in facts.items()}
        return json.dumps(line, ensure_ascii=True, allow_nan=False)


def _facts_of(record: logging.LogRecord) -> dict[str, object]:
    facts: Mapping[str, object] = getattr(record, "facts", {})
    return {key: MASK if key.lower() in _SECRETS else value for key, value in facts.items()}


def _safe(value: object) -> str | int | float | bool | None:
    """A value that both forms can carry; text without credentials of a URL and not endless."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    text = _CREDENTIALS.sub(MASK, str(value))
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}... ({len(text)} characters)"


def _quoted(value: object) -> str:
    text = str(value)
    needs = not text or any(character in text for character in ' "=')
    return '"' + text.replace('"', '\\"') + '"' if needs else text


def escaped(text: str) -> str:
    """`text` with everything that does not print (line ends, escapes, direction marks) written as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
