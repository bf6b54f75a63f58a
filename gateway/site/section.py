"""One mapping of site.yaml with the places of its keys, ready to be checked by a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from gateway.contracts import Place, Report
from gateway.site.plainwords import Words, dotted, found_words
from gateway.site.substitution import is_secret
from gateway.site.yamlfile import Document, Loc

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Section:
    """The value at `loc` of a document."""

    document: Document
    loc: Loc = ()

    @property
    def file(self) -> str:
        return self.document.file

    @property
    def value(self) -> Any:
        value = self.document.data
        for part in self.loc:
            value = value[part]
        return value

    @property
    def place(self) -> Place:
        return self.document.place(self.loc)

    @property
    def keys(self) -> dict[str, Place]:
        """Where each key stands, nested ones as ``apci.k``."""
        depth = len(self.loc)
        inner = _locs_below(self.value, self.loc)
        return {dotted(loc[depth:]): self.document.place(loc) for loc in inner}

    def key_place(self, key: str) -> Place:
        """Where this key stands, or the section if it was left out."""
        return self.document.place((*self.loc, key))

    def inner(self, *more: str | int) -> Section:
        return Section(self.document, (*self.loc, *more))

    def entries(self, key: str) -> list[Section]:
        """The mappings in the list under `key`; what is no mapping or no list, the model tells."""
        value = self.value
        entries = value.get(key) if isinstance(value, dict) else None
        if not isinstance(entries, list):
            return []
        return [self.inner(key, i) for i, entry in enumerate(entries) if isinstance(entry, dict)]

    def word(self, key: str, report: Report) -> str | None:
        """The text under `key`, needed before a model can be chosen; None (reported) when there is none."""
        value = self.value.get(key)
        if isinstance(value, str) and value:
            return value
        what = f"key {key} is missing" if key not in self.value else f"{key}: expected text, found {found_words(value)}"
        report.error(self.key_place(key), what)
        return None

    def validate(self, model: type[Model], report: Report) -> Model | None:
        """The model from this section, or None with every problem in the report."""
        words = Words(report, lambda loc: self.document.place(self.loc + loc), self._hidden)
        return words.validate(model, self.value)

    def _hidden(self, loc: Loc) -> bool:
        whole = self.loc + loc
        return any(is_secret(part) for part in whole) or any(
            whole[:end] in self.document.hidden for end in range(1, len(whole) + 1)
        )


def _locs_below(value: Any, loc: Loc) -> list[Loc]:
    if not isinstance(value, dict):
        return []
    out: list[Loc] = []
    for key, inner in value.items():
        out.append((*loc, key))
        out += _locs_below(inner, (*loc, key))
    return out
