"""The forwarder in a thread of its own: HTTP waits there, and nobody else does."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.contracts.log import Log
from gateway.history.influx.forwarder import Forwarder, ForwarderState
from gateway.history.influx.lines import Layout
from gateway.history.influx.quarantine import Quarantine
from gateway.history.influx.sender import sender_of
from gateway.history.plan import InfluxPlan
from gateway.history.spool import SeriesInfo, Spool
from gateway.history.sqlitefile import DamagedHistory

_SPOOL_RETRY_S = 5.0


class PrefixCache:
    """Measurement and tags by series; a series that is new is looked up in the spool."""

    def __init__(self, spool: Spool, layout: Layout) -> None:
        self._spool, self._layout = spool, layout
        self._known: dict[int, str] = {}

    def __call__(self, series: int) -> str:
        prefix = self._known.get(series)
        if prefix is None:
            infos = self._spool.series_info()
            self._known = {number: self._layout.prefix(info) for number, info in infos.items()}
            prefix = self._known.setdefault(series, self._layout.prefix(SeriesInfo(f"series {series}")))
        return prefix


class ForwarderThread:
    """Runs until stopped. `state` may be read at any time."""

    def __init__(self, plan: InfluxPlan, folder: Path, site: str, devices: Mapping[str, str], log: Log) -> None:
        self._plan, self._folder, self._log = plan, folder, log
        self._layout = Layout(site, plan.measurement, plan.tags, devices)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="influxdb", daemon=True)
        self.state = ForwarderState()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the request in flight; waits no longer than a request may take."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(min(self._plan.timeout_s, 2.0))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._forward()
            except (OSError, DamagedHistory) as error:
                self.state.trouble = str(error)
                self._log.error("the spool cannot be read for forwarding", cause=str(error))
                self._stopping.wait(_SPOOL_RETRY_S)

    def _forward(self) -> None:
        spool = Spool(self._folder)
        sender = sender_of(self._plan)
        forwarder = Forwarder(
            plan=self._plan,
            spool=spool,
            sender=sender,
            prefix=PrefixCache(spool, self._layout),
            quarantine=Quarantine(self._folder),
            log=self._log,
            state=self.state,
        )
        try:
            while not self._stopping.is_set():
                pause_s = forwarder.step(time.monotonic(), time.time_ns())
                if pause_s > 0:
                    self._stopping.wait(pause_s)
        finally:
            sender.close()
            spool.close()
