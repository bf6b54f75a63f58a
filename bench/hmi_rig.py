"""What the HMI's measurements share: its process as the supervisor would start it, fed from here, and a person."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx

from bench.iec104_rig import Product, serving
from bench.opcua_rig import catalogue
from bench.system import free_port, workspace
from gateway.config import load_site
from gateway.processes.plans import ScreenPlan
from gateway.site.plan import SitePlan
from gateway.users.store import User, hash_password, write_users
from hmi.plan import HmiPlan

DEMO: Final = Path(__file__).resolve().parents[1] / "config" / "demo" / "site.yaml"
NAME: Final = "bench"
PASSWORD: Final = "a password for measuring"


def plain_site(points: int) -> SitePlan:
    """So many analog points and nothing else."""
    return SitePlan(name="bench", path=DEMO, state_dir=Path(), catalogue=catalogue(points), log_level="error")


def demo_site() -> SitePlan:
    """The demo site: its page has everything that a page has."""
    return replace(load_site(DEMO), log_level="error", history=None)


@contextlib.asynccontextmanager
async def hmi(site: SitePlan) -> AsyncIterator[Product]:
    """The HMI of this site on a free port, with one operator."""
    with workspace() as folder:
        port = free_port()
        site = replace(site, state_dir=folder, screen=None)
        hashed = hash_password(PASSWORD)
        write_users(folder / "users.yaml", {NAME: User(name=NAME, roles=frozenset({"operator"}), password=hashed)})
        plan = ScreenPlan(site=site, screen=HmiPlan(host="127.0.0.1", port=port))
        async with serving(plan, port, 0, role="screen") as made:
            yield made


def session_cookie(port: int) -> str:
    """Log in; the `Cookie` header of the session."""
    answer = httpx.post(f"http://127.0.0.1:{port}/api/login", json={"name": NAME, "password": PASSWORD}, timeout=60)
    answer.raise_for_status()
    return "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
