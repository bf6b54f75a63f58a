"""A small site that is right, to be spoilt one place at a time, and its protocols."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import registry
from gateway.config import load_site
from gateway.contracts import ConfigError
from gateway.site.plan import SitePlan
from tests.kit.fakeprotocols import OWN_MODULES, install

SITE = """\
site: hilltop
state_dir: var
devices:
  - name: pcs1
    driver: bench
    url: tcp://127.0.0.1:5020
    map: maps/pcs.csv
    prefix: bess1/pcs
    scan_ms: 200
  - name: meter
    driver: bench
    url: tcp://127.0.0.1:5021
    map: maps/meter.csv
    prefix: poi
calculated:
  - point: bess1/losses
    unit: kW
    expr: "bess1/pcs/power - poi/power"
servers:
  - name: sldc
    protocol: relay
    listen: 127.0.0.1:2404
    apci: {k: 8}
    masters:
      - name: main
        addresses: [127.0.0.1, 10.0.0.0/8]
        map: maps/sldc.csv
        commands: true
control:
  local_remote: {point: bess1/pcs/local, remote_when: 0}
"""

PCS = """\
point,kind,address,scale,unit,low,high,alarm_l,alarm_h,feedback,scan_ms,description
power,analog,0,0.1,kW,-1200,1200,,1100,,,Active power
local,binary,1,,,,,,,,1000,Local control selected
breaker,double,2,,,,,,,,,AC breaker
setpoint,setpoint,3,0.1,kW,-1000,1000,,,power,,Active power set-point
run,control,4,,,,,,,local,,Start and stop
"""

METER = "point,kind,address,unit\npower,analog,0,kW\nenergy,counter,2,kWh\n"

SLDC = "point,index,deadband,class\nbess1/pcs/power,1,5,2\npoi/power,2,,\nbess1/pcs/setpoint,3,,\nbess1/losses,4,,\n"

FILES = {"site.yaml": SITE, "maps/pcs.csv": PCS, "maps/meter.csv": METER, "maps/sldc.csv": SLDC}


class Site:
    """Files in a folder; `load` reads them, `problems` lists what is wrong, with paths cut to the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            self.write(name, text)

    @property
    def path(self) -> Path:
        return self.folder / "site.yaml"

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def change(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1))

    def load(self) -> SitePlan:
        return load_site(self.path)

    def problems(self) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.load()
        return [str(problem).replace(f"{self.folder}/", "") for problem in caught.value.report.problems]

    def errors(self) -> list[str]:
        return [problem for problem in self.problems() if ": warning: " not in problem]


@contextlib.contextmanager
def small_site(folder: Path) -> Iterator[Site]:
    """The site in `folder`, its protocols found by the registry until the end of the block."""
    with pytest.MonkeyPatch.context() as patch:
        install(folder / "packages", patch)
        (folder / "site").mkdir()
        try:
            yield Site(folder / "site")
        finally:
            registry.forget()
            for name in [name for name in sys.modules if name.startswith(OWN_MODULES)]:
                del sys.modules[name]
