"""``${NAME}`` from the environment and secrets from files, put into a configuration after it was read.

- ``${NAME}`` in any text value is replaced by the environment variable; ``${NAME:-default}`` where it may be
  unset; ``$${`` stands for a literal ``${``.
- ``token: {file: pki/token}`` reads the value of a secret key (see `is_secret`) from a file beside the site file;
  spaces and line ends around it are dropped.

What was put in is never shown in a message: its place is noted in `Document.hidden`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.contracts import Place, Report
from gateway.site.yamlfile import Document, Loc, read_text

_VARIABLE: Final = re.compile(r"\$(\$\{)|\$\{([^}]*)\}")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SECRET: Final = re.compile(r"(?:^|_)(?:token|password|secret|passphrase|key_passphrase)$")


def is_secret(key: object) -> bool:
    """True for keys whose value is never shown: ``token``, ``password``, ``secret``, ``passphrase``, ``x_token``..."""
    return isinstance(key, str) and _SECRET.search(key.lower()) is not None


def substitute(document: Document, environment: Mapping[str, str], report: Report) -> None:
    """Replace `document.data` by a copy with variables and secret files filled in; problems to `report`."""
    document.data = _Filler(document, environment, report).value(document.data, ())


class _Filler:
    def __init__(self, document: Document, environment: Mapping[str, str], report: Report) -> None:
        self._document = document
        self._environment = environment
        self._report = report

    def value(self, value: Any, loc: Loc) -> Any:
        if isinstance(value, dict):
            if loc and is_secret(loc[-1]) and set(value) == {"file"} and isinstance(value["file"], str):
                return self._secret(value["file"], loc)
            return {key: self.value(inner, (*loc, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, (*loc, index)) for index, inner in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._text(value, loc)
        return value

    def _secret(self, name: str, loc: Loc) -> str:
        self._document.hidden.add(loc)
        place = self._document.place(loc)
        path = Path(self._document.file).parent / self._text(name, loc)
        text = read_text(path, self._report, place)
        if text is not None and not text.strip():
            self._report.error(place, f"{path} is empty: the secret was expected in it")
        return (text or "").strip()

    def _text(self, text: str, loc: Loc) -> str:
        place = self._document.place(loc)

        def filled(match: re.Match[str]) -> str:
            if match[1]:
                return match[1]
            self._document.hidden.add(loc)
            return self._variable(match[2], place)

        return _VARIABLE.sub(filled, text)

    def _variable(self, inner: str, place: Place) -> str:
        match = _NAME.fullmatch(inner)
        if match is None:
            self._report.error(place, "between ${ and } the name of an environment variable was expected")
            return ""
        value = self._environment.get(match[1], match[2])
        if value is None:
            self._report.error(place, f"the environment variable {match[1]} is not set")
            return ""
        return value
