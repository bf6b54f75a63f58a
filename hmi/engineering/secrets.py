"""Secrets of a configuration file stay where they are: shown as ``***``, and put back where that stands. Pure."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
_SECRET: Final = re.compile(
    r"""^(?P<head>\s*(?:-\s*)?["']?(?:\w+_)?(?:token|password|secret|passphrase)["']?\s*:\s*)(?P<value>[^\s#{$].*)$""",
    re.IGNORECASE | re.MULTILINE,
)
"""A key and a value of its own; not ``${NAME}`` from the environment, nor ``{file: ...}``."""
_CREDENTIALS: Final = re.compile(r"(?<=://)(?P<value>[^/@\s]+)(?=@)")


def masked(text: str) -> str:
    """The text without its secrets."""
    return _CREDENTIALS.sub(MASK, _SECRET.sub(lambda found: f"{found['head']}{MASK}", text))


def unmasked(text: str, before: str) -> str:
    """`text` with the secrets of `before` where it says ``***``, in their order.

    Raises `ValueError` when a mask has no secret any more: then it must be written anew.
    """
    for pattern in (_SECRET, _CREDENTIALS):
        kept = [found["value"] for found in pattern.finditer(before)]
        shown = [found["value"].strip() for found in pattern.finditer(text)]
        if MASK not in shown:
            continue
        if len(shown) != len(kept):
            raise ValueError("a hidden secret was moved or removed: write it anew, or as ${NAME} or {file: ...}")
        values = iter(kept)

        def put_back(found: re.Match[str], values: object = values) -> str:
            value = next(values)  # type: ignore[call-overload]
            head = found.groupdict().get("head") or ""
            return head + (value if found["value"].strip() == MASK else found["value"])

        text = pattern.sub(put_back, text)
    return text


def is_private(name: str, data: bytes) -> bool:
    """Whether a file is not shown at all: keys, and people's passwords."""
    return b"PRIVATE KEY" in data or b"$argon2" in data or name.endswith((".key", ".p12", ".pfx"))
