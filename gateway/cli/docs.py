"""``gridgate docs``: what a site's servers have to show to the other side, from the configuration."""

from __future__ import annotations

from pathlib import Path

from gateway import registry
from gateway.contracts.server import DocumentWriter
from gateway.site.plan import ServerEntry, SitePlan
from gateway.terminal import answer, refuse


def write_documents(plan: SitePlan, out: Path, as_json: bool = False) -> int:
    """Write each server's documents into a folder of its own below `out`; returns the exit code."""
    files: list[Path] = []
    for server in plan.servers:
        try:
            files += _write(plan, server, out / server.name)
        except OSError as error:
            return refuse(f"documents of server {server.name} cannot be written: {error}")
    if not files:
        return refuse(f"no documents: {plan.name} has no server that writes any")
    answer("\n".join(map(str, files)), [str(file) for file in files], as_json)
    return 0


def documents_of(plan: SitePlan, out: Path) -> list[Path]:
    """Every server's documents in a folder of its own below `out`. Raises `OSError`."""
    return [path for server in plan.servers for path in _write(plan, server, out / server.name)]


def _write(plan: SitePlan, server: ServerEntry, folder: Path) -> list[Path]:
    target = registry.grid(server.protocol).documents
    if not target:
        return []
    writer: DocumentWriter = registry.load(target)(server.plan, plan.catalogue, plan.name)
    folder.mkdir(parents=True, exist_ok=True)
    return writer.write(folder)
