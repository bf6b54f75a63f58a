"""Where the data that ships with the gateway lies: in a checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The path of shipped data by its path in a checkout, for example ``config/demo/site.yaml``.

    Raises `FileNotFoundError` when the installation lacks it.
    """
    for root in (_PACKAGE / "shipped", _PACKAGE.parent):
        path = root / name
        if path.exists():
            return path
    raise FileNotFoundError(
        f"{name} is neither in {_PACKAGE.parent} nor in {_PACKAGE / 'shipped'}: install gridgate again"
    )
