"""What the site is: for the frame of every page."""

from __future__ import annotations

from typing import Final

from gateway import __version__
from hmi.endpoint import Answer, Endpoint, Topic, Visit


class DeviceFacts(Answer):
    name: str
    driver: str
    points: int
    online: str
    """Name of the point that says whether it answers."""


class MasterFacts(Answer):
    server: str
    protocol: str
    master: str
    listen: str
    bindings: int
    online: str
    """Name of the point that says whether it is connected; empty: there is none."""


class SiteFacts(Answer):
    site: str
    version: str
    points: int
    devices: list[DeviceFacts]
    masters: list[MasterFacts]
    history: bool
    control: bool


async def _site(visit: Visit) -> SiteFacts:
    plan, names = visit.desk.site, visit.desk.catalogue.names
    devices = [
        DeviceFacts(
            name=name,
            driver=driver,
            points=len(plan.device_rows[name]),
            online=names[plan.device_system[name].online],
        )
        for name, driver in plan.device_drivers.items()
    ]
    masters = [
        MasterFacts(
            server=entry.name,
            protocol=entry.protocol,
            master=master,
            listen=entry.listen,
            bindings=entry.bindings[master],
            online=names[rows.online] if (rows := plan.master_system.get((entry.name, master))) is not None else "",
        )
        for entry in plan.servers
        for master in entry.masters
    ]
    return SiteFacts(
        site=plan.name,
        version=__version__,
        points=len(visit.desk.catalogue),
        devices=devices,
        masters=masters,
        history=plan.history is not None,
        control=plan.control is not None,
    )


TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/site",
            handler=_site,
            answer=SiteFacts,
            tag="site",
            summary="The site, its devices and its masters.",
            quiet=True,
        )
    ]
)
