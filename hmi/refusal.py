"""The HMI's one error: what a person asked for is not possible, and why."""

from __future__ import annotations


class Refusal(Exception):
    """Becomes the answer ``{"error": text, "problems": [...]}`` with this HTTP status. The text is for a person."""

    def __init__(self, status: int, text: str, problems: tuple[str, ...] = (), headers: dict[str, str] | None = None):
        super().__init__(text)
        self.status, self.text, self.problems, self.headers = status, text, problems, headers or {}
