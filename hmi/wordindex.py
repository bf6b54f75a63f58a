"""Which of many texts hold a word somewhere within: a vocabulary, searched as octets with numpy. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SEPARATOR: Final = ord("\n")


class WordIndex:
    """Texts are split at spaces, and each different word is kept once, with the numbers of the texts that have it."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Texts in lower case; each is known by its number in the order given."""
        ids: dict[str, int] = {}
        found, sizes = array("i"), array("i")
        for text in texts:
            parts = text.split()
            found.extend([ids.setdefault(word, len(ids)) for word in parts])
            sizes.append(len(parts))
        self._size = len(sizes)
        words = np.frombuffer(found, np.int32)
        owners = np.repeat(np.arange(self._size, dtype=np.uint32), np.frombuffer(sizes, np.int32))
        self._owners: NDArray[np.uint32] = owners[np.argsort(words, kind="stable")]
        counts = np.bincount(words, minlength=len(ids))
        self._starts: NDArray[np.int64] = np.concatenate(([0], np.cumsum(counts)))
        self._octets = np.frombuffer("\n".join(ids).encode("utf-8", "surrogatepass"), np.uint8)
        ends = np.flatnonzero(self._octets == _SEPARATOR)
        self._begins: NDArray[np.int64] = np.concatenate((np.zeros(1, np.int64), ends + 1))[: len(ids)]
        self._common = np.bincount(self._octets, minlength=256)

    def having(self, word: str) -> NDArray[np.bool_]:
        """By the number of each text: whether `word` (lower case, no space in it) occurs in one of its words."""
        found = np.zeros(self._size, np.bool_)
        found[self._owned(self._words_with(word.encode("utf-8", "surrogatepass")))] = True
        return found

    def _words_with(self, part: bytes) -> NDArray[np.intp]:
        """Numbers of the words in which these octets occur."""
        order = sorted(range(len(part)), key=lambda at: int(self._common[part[at]]))
        # Where its rarest octet stands; then each of the others takes away what does not match.
        places = np.flatnonzero(self._octets == part[order[0]]) - order[0]
        places = places[(places >= 0) & (places <= len(self._octets) - len(part))]
        for at in order[1:]:
            places = places[self._octets[places + at] == part[at]]
        words = np.searchsorted(self._begins, places, side="right") - 1
        return words[np.flatnonzero(np.diff(words, prepend=-1))]

    def _owned(self, words: NDArray[np.intp]) -> NDArray[np.uint32]:
        starts = self._starts[words]
        counts = self._starts[words + 1] - starts
        total = int(counts.sum())
        shift = np.repeat(starts - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) if total else starts[:0]
        owners: NDArray[np.uint32] = self._owners[np.arange(total) + shift]
        return owners
