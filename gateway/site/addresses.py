"""Where every point comes from and where it goes, in words: made while a site is checked, for people. Picklable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What one master gets: `addresses[i]` is that of the point in ``rows[i]``, in the words of its protocol.

    `master` is empty where a server has no masters of its own (OPC UA): whoever logs in.
    """

    server: str
    protocol: str
    master: str
    rows: NDArray[np.uint32]
    addresses: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """`sources[row]`: register, signal or channel, empty where there is none. `uses`: every master with its points."""

    sources: Sequence[str] = ()
    files: Sequence[str] = ()
    file: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """Index into `files` of the file that names the point."""
    line: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """Its line there, or row as a spreadsheet shows them; 0: not known."""
    uses: Sequence[Uses] = ()

    def place(self, row: int) -> str:
        """Where the point stands in the engineer's files: ``pcs.csv, row 12``."""
        if row >= len(self.file):
            return ""
        name = self.files[self.file[row]]
        line = int(self.line[row])
        return str(Place(name, line or None, row=name.endswith(".csv")))


def addresses(
    size: int, sources: Iterable[tuple[int, str]], place: Callable[[int], Place], uses: Sequence[Uses]
) -> Addresses:
    """Gather: `sources` by row, `place` of each of the `size` rows."""
    words = [""] * size
    for row, text in sources:
        words[row] = text
    places = [place(row) for row in range(size)]
    index: dict[str, int] = {}
    return Addresses(
        sources=words,
        file=np.array([index.setdefault(each.file, len(index)) for each in places], np.int32),
        files=[Path(name).name for name in index],
        line=np.array([each.line or 0 for each in places], np.int32),
        uses=uses,
    )
