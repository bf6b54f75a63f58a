"""A DNP3 master in a process of its own: unsolicited events as they come, or class 1 polled until nothing comes.

``python -m tests.overload.masterdnp3 SITE.json SOURCE ADDRESS`` prints ``{"ready": true}``. At each line of its input
(``enable``, ``poll``, ``now``) it does that and prints what it was told so far (see `Told.summary`), with
``overflows``: how many responses said that events were lost (IIN2.3).
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any, Final

import numpy as np

from bench import dnp3_master
from tests.overload.site import OverloadSite
from tests.overload.told import Told

OVERFLOW: Final = 0x08
EVENT: Final = np.dtype([("index", "<u2"), ("flags", "u1"), ("value", "<f4"), ("time", "u1", 6)])
ONLINE: Final = 0x01
QUIET_POLLS: Final = 3


class Master(dnp3_master.Master):
    """Confirms, and looks into every fragment."""

    def __init__(self, site: OverloadSite, source: str, address: int) -> None:
        super().__init__(site.dnp3, address, source)
        self.told = Told(site.dnp3_points)
        self.overflows = 0

    def _fragment(self, fragment: bytes, now_ns: int) -> None:
        super()._fragment(fragment, now_ns)
        self.fragments.clear()
        self.overflows += bool(fragment[3] & OVERFLOW)
        for group, variation, count, octets in dnp3_master.objects(fragment):
            if (group, variation) == (32, 7):
                found = self._table(octets, count)
                index, values = found["index"].astype(np.int64), found["value"].astype(np.int64)
                self.told.take(index, values, (found["flags"] ^ ONLINE).astype(np.int64))

    @staticmethod
    def _table(octets: bytes, count: int) -> Any:
        width = len(octets) // count
        if width == EVENT.itemsize:
            return np.frombuffer(octets, EVENT, count)
        narrow = np.dtype([("index", "u1"), *EVENT.descr[1:]])
        return np.frombuffer(octets, narrow, count)

    def run(self, until: float) -> None:
        """Receive until `finished` or this time (monotonic)."""
        while not self.finished and time.monotonic() < until:
            if select.select([self.socket], [], [], 0.2)[0]:
                self.take()

    def enable(self) -> None:
        """Unsolicited responses of class 1 from now on."""
        self.ask(dnp3_master.ENABLE, dnp3_master.CLASS_1)
        self.run(time.monotonic() + 30.0)

    def poll(self) -> None:
        """Class 1 until nothing more comes."""
        quiet = 0
        while quiet < QUIET_POLLS:
            before = self.events
            self.ask(dnp3_master.READ, dnp3_master.CLASS_1)
            self.run(time.monotonic() + 30.0)
            quiet = quiet + 1 if self.events == before else 0

    def summary(self) -> dict[str, Any]:
        """Everything so far."""
        return self.told.summary() | {"overflows": self.overflows}


def _connected(site: OverloadSite, source: str, address: int) -> Master:
    """As soon as the server listens, within a minute."""
    end = time.monotonic() + 60.0
    while True:
        try:
            return Master(site, source, address)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def main() -> None:
    """Until the input ends."""
    master = _connected(OverloadSite.load(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    orders = {"enable": master.enable, "poll": master.poll, "now": lambda: None}
    print(json.dumps({"ready": True}), flush=True)
    while True:
        ready = select.select([master.socket, 0], [], [], 0.2)[0]
        if master.socket in ready:
            master.take()
        if 0 in ready:
            words = os.read(0, 4096).split()
            if not words:
                return
            for word in words:
                orders[word.decode()]()
                print(json.dumps(master.summary()), flush=True)


if __name__ == "__main__":
    main()
