"""What of a quality one peer is shown: qualities that are one on its wire are one to it. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.change import Qualities
from gateway.points.quality import ALL_FLAGS

_MASK: Final = np.uint32(int(ALL_FLAGS))

ALL_QUALITIES: Final[Qualities] = np.arange(int(ALL_FLAGS) + 1, dtype=np.uint32)
"""Every combination of flags: what a table of `Shown` is made from."""


class Shown:
    """Bindings of different forms, each with a table from quality to what is seen of it."""

    def __init__(self, form: NDArray[np.integer], tables: list[Qualities]) -> None:
        """`form` has one element per binding, the number of its table; each table is as long as `ALL_QUALITIES`."""
        self._form = form
        self._tables: Qualities = np.stack([*tables, ALL_QUALITIES]).astype(np.uint32)

    def __call__(self, index: NDArray[np.integer], qualities: Qualities) -> Qualities:
        """What is seen of them, in numbers that can only be compared; `index` holds their bindings."""
        seen: Qualities = self._tables[self._form[index], qualities & _MASK]
        return seen
