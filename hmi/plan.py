"""What the HMI's process needs of its section, compiled: picklable, without pydantic."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.tls.plan import TlsPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class HmiTls:
    """Paths of PEM files; without them the HMI makes its own certificate below the state directory."""

    certificate: str = ""
    key: str = ""
    passphrase: str = field(default="", repr=False)
    minimum: str = "1.2"


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
    """The engineer's own SVG of the site, as it may be shown (see `hmi.drawing`); empty: one is drawn."""
    tls: HmiTls | None = None
    """None: plain HTTP."""
    addresses: tuple[str, ...] = ()
    """Networks that may come in; empty: every one."""
    metrics_addresses: tuple[str, ...] = ()
    """Networks that may read the metrics without a login."""

    @property
    def where(self) -> str:
        """The address to type into a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"

    def tls_files(self, state_dir: Path) -> TlsPlan | None:
        """Whose certificate is shown: the engineer's, or the own one of this state directory; None: plain HTTP."""
        if self.tls is None:
            return None
        own = state_dir / "pki" / "hmi"
        return TlsPlan(
            certificate=self.tls.certificate or str(own / "certificate.pem"),
            key=self.tls.key or str(own / "key.pem"),
            passphrase=self.tls.passphrase,
            minimum=self.tls.minimum,
            anyone=True,
        )
