"""One server's start, from within: ``python -m bench.opcua_starting ours|stock POINTS`` prints one JSON line."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import psutil

from bench import opcua_rig as rig
from bench.system import free_port


class _Quiet:
    def bind(self, **facts: object) -> _Quiet:
        return self

    def __getattr__(self, name: str) -> object:
        return lambda *words, **facts: None


async def ours(points: int) -> float:
    """Seconds; the certificate is made before, as on every start but the first."""
    from gateway.alarms import AlarmCatalogue
    from gateway.alarms.mirror import AlarmMirror
    from gateway.feed.mirror import Mirror
    from protocols.opcua.owncertificate import own_identity
    from protocols.opcua.server import OpcUaServer

    with tempfile.TemporaryDirectory() as folder:
        plan, log = rig.plan(free_port()), _Quiet()
        own_identity(plan, Path(folder) / "pki" / plan.name, log)
        catalogue = rig.catalogue(points)
        gc.collect()
        began, used = time.perf_counter(), time.process_time()
        port = SimpleNamespace(
            log=log,
            catalogue=catalogue,
            table=Mirror(points),
            commands=None,
            trace=None,
            state_dir=Path(folder),
            alarms=AlarmMirror(AlarmCatalogue(points=catalogue)),
            history=None,
        )
        server = OpcUaServer(plan, port)
        await server.start()
        catalogue.rows  # noqa: B018 - as the first client needs it
        took = time.perf_counter() - began
        _tell(took, time.process_time() - used)
        await server.stop()
    return took


async def stock(points: int) -> float:
    from bench.opcua_stock import serve

    began, used = time.perf_counter(), time.process_time()
    server, _ = await serve(free_port(), points)
    _tell(time.perf_counter() - began, time.process_time() - used)
    await server.stop()
    return 0.0


def _tell(seconds: float, cpu_s: float) -> None:
    gc.collect()
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "mb": psutil.Process().memory_info().rss / 1e6}), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run({"ours": ours, "stock": stock}[sys.argv[1]](int(sys.argv[2])))
