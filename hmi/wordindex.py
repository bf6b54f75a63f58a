"""Which of many texts hold a word somewhere within: a vocabulary, searched as octets with numpy. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SEPARATOR: Final = b"\n"


class WordIndex:
    """Texts are split at spaces, and each different word is kept once, with the numbers of the texts that have it."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Texts in lower case; each is known by its number in the order given."""
        ids: dict[str, int] = {}
        words: list[int] = []
        ends: list[int] = []
        for text in texts:
            words += [ids.setdefault(word, len(ids)) for word in text.split()]
            ends.append(len(words))
        self._size = len(ends)
        owners = np.repeat(np.arange(self._size, dtype=np.uint32), np.diff(np.array([0, *ends])))
        by_word = np.argsort(np.array(words, np.int64), kind="stable")
        self._owners: NDArray[np.uint32] = owners[by_word]
        counts = np.bincount(np.array(words, np.intp), minlength=len(ids))
        self._starts: NDArray[np.int64] = np.concatenate(([0], np.cumsum(counts)))
        encoded = [word.encode("utf-8", "surrogatepass") for word in ids]
        lengths = np.array([len(word) + 1 for word in encoded], np.int64)
        self._begins: NDArray[np.int64] = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))[:-1]
        self._octets = np.frombuffer(_SEPARATOR.join(encoded), np.uint8)
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
