"""What the HMI's process needs of its section, compiled: picklable, without pydantic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HmiPlan:
    """The HMI of one site. Paths are absolute; empty: the default below the state directory."""

    host: str
    port: int
    users: str = ""
    idle_s: float = 900.0
    """A session without a person's action for so long is ended."""
    longest_s: float = 12 * 3600.0
    """A session ends after this in any case."""
    hosts: tuple[str, ...] = ()
    """Further names under which the page may be asked for (`Host` header)."""
    drawing: str = ""
    """An SVG of the site to be shown on the overview."""

    @property
    def where(self) -> str:
        """The address to type into a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"
