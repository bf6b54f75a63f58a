"""Return information: the first change that a command caused goes out as such. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities
from protocols.iec104.marks import LOCAL, REMOTE

Index = NDArray[np.intp]


class ReturnInformation:
    """Bindings of which a change is expected, each until its time is up (s of the clock passed in)."""

    def __init__(self) -> None:
        self._expected: dict[int, tuple[int, float]] = {}

    def expect(self, bindings: list[int], remote: bool, until: float) -> None:
        """The next event of each of these bindings is return information. A newer command replaces an older one."""
        mark = REMOTE if remote else LOCAL
        self._expected.update(dict.fromkeys(bindings, (mark, until)))

    def mark(self, index: Index, qualities: Qualities, now: float) -> None:
        """Mark what was expected among events, `index` holding their bindings. Few are expected at any time."""
        for binding in list(self._expected):
            mark, until = self._expected[binding]
            found = np.flatnonzero(index == binding)
            if now > until:
                del self._expected[binding]
            elif len(found):
                del self._expected[binding]
                qualities[found[0]] |= np.uint32(mark)
