"""``gridgate docs``: what a site's servers have to show to the other side, from the configuration."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway import registry
from gateway.contracts.server import DocumentWriter
from gateway.siteplan import ServerEntry, SitePlan


def write_documents(plan: SitePlan, out: Path) -> int:
    """Write each server's documents into a folder of its own below `out`; returns the exit code."""
    files: list[Path] = []
    for server in plan.servers:
        try:
            files += _write(plan, server, out / server.name)
        except OSError as error:
            sys.stderr.write(f"documents of server {server.name} cannot be written: {error}\n")
            return 1
    if not files:
        sys.stderr.write(f"no documents: {plan.name} has no server that writes any\n")
        return 1
    sys.stdout.write("".join(f"{file}\n" for file in files))
    return 0


def _write(plan: SitePlan, server: ServerEntry, folder: Path) -> list[Path]:
    target = registry.grid(server.protocol).documents
    if not target:
        return []
    writer: DocumentWriter = registry.load(target)(server.plan, plan.catalogue, plan.name)
    folder.mkdir(parents=True, exist_ok=True)
    return writer.write(folder)
