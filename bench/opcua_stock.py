"""asyncua's own server with so many points, as its documentation says: ``python -m bench.opcua_stock PORT POINTS``.

Reads ``RATE SECONDS`` lines: makes changes at that rate and answers how many there were.
"""

from __future__ import annotations

import asyncio
import datetime
import gc
import logging
import sys
import time

from asyncua import Server, ua

from bench.opcua_rig import names


async def serve(port: int, points: int) -> tuple[Server, list[ua.NodeId]]:
    """The server, started, and the ids of its points."""
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:bench:points")
    ids, folder = [], None
    site = await server.nodes.objects.add_folder(ua.NodeId("site", index), "site")
    for row, name in enumerate(names(points)):
        if row % 100 == 0:
            path = name.rpartition("/")[0]
            folder = await site.add_folder(ua.NodeId(path, index), path.rpartition("/")[2])
        node = ua.NodeId(name, index)
        await folder.add_variable(node, name.rpartition("/")[2], float(row), ua.VariantType.Double)
        ids.append(node)
    await server.start()
    return server, ids


async def flow(server: Server, ids: list[ua.NodeId], rate: float, seconds: float, value: float) -> int:
    """Changes spread over all points."""
    count, begin, size = 0, time.monotonic(), len(ids)
    while count < int(rate * seconds):
        for number in range(count, count + max(int(rate * 0.01), 1)):
            changed = ua.DataValue(
                ua.Variant(value + number // size, ua.VariantType.Double),
                SourceTimestamp=datetime.datetime.now(datetime.UTC),
            )
            await server.write_attribute_value(ids[number % size], changed)
        count = number + 1
        await asyncio.sleep(max(begin + count / rate - time.monotonic(), 0))
    return count


async def main() -> None:
    logging.disable(logging.CRITICAL)
    server, ids = await serve(int(sys.argv[1]), int(sys.argv[2]))
    gc.collect()
    gc.freeze()  # what its users find out after a while
    print("ready", flush=True)
    value = 1e6
    while line := await asyncio.to_thread(sys.stdin.readline):
        rate, seconds = map(float, line.split())
        print(await flow(server, ids, rate, seconds, value), flush=True)
        value += 1e6


if __name__ == "__main__":
    asyncio.run(main())
