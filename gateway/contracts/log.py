"""The log as protocol packages see it."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """Structured log lines: an event in plain words and its facts as keywords."""

    def debug(self, event: str, **facts: object) -> None: ...
    def info(self, event: str, **facts: object) -> None: ...
    def warning(self, event: str, **facts: object) -> None: ...
    def error(self, event: str, **facts: object) -> None: ...
    def bind(self, **facts: object) -> Log:
        """The same log with these facts on every line."""
        ...
