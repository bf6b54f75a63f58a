"""Present values on their way to one link: interrogations and cyclic transmission, coded chunk by chunk."""

from __future__ import annotations

from collections import deque
from typing import Final

from gateway.contracts import TableView
from protocols.iec104.bindings import Bindings, Index, Show

CHUNK: Final = 1_920
"""Bindings coded at once: a fraction of a ms, and a multiple of what fits an ASDU of floats in either packing."""


class Scan:
    """Values are taken when they are coded: never older than what the window then allows.

    `key` tells scans apart that may not run twice; `closing` is the termination, or empty; `show` says what counters
    read.
    """

    def __init__(
        self,
        key: tuple[int, int],
        index: Index,
        cause: int,
        *,
        originator: int = 0,
        closing: bytes = b"",
        show: Show | None = None,
    ) -> None:
        self.key = key
        self._index = index
        self._cause = cause
        self._originator = originator
        self._closing = closing
        self._show = show
        self._at = 0
        self._coded: deque[bytes] = deque()

    def next_asdu(self, bindings: Bindings, table: TableView) -> bytes | None:
        """The next ASDU, or None when all is sent."""
        while not self._coded:
            if self._at >= len(self._index):
                closing, self._closing = self._closing, b""
                return closing or None
            chunk = self._index[self._at : self._at + CHUNK]
            self._at += len(chunk)
            self._coded.extend(bindings.encode_state(chunk, table, self._cause, self._originator, self._show))
        return self._coded.popleft()
