"""InfluxDB 1.x at the end of the run: every sample of every point, read in chunks, as one receiver that lost nothing.

It writes its ledger when its standard input ends. `time_ns` is the sample's, quality the gateway's flags (-1: none).
"""

from __future__ import annotations

import json
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from tests.soak.ledger import EVENT, RECORD, Records
from tests.soak.receivers.process import Receiver

EVERYTHING: Final = "SELECT value, quality FROM gridgate GROUP BY point"
CHUNK: Final = 10_000
PATIENCE_S: Final = 120


def chunks(url: str, database: str, query: str) -> Iterator[dict[str, Any]]:
    """Series, a chunk of them at a time. Raises `RuntimeError` with the server's words."""
    asked = {"db": database, "q": query, "epoch": "ns", "chunked": "true", "chunk_size": CHUNK}
    with urllib.request.urlopen(f"{url}/query?{urllib.parse.urlencode(asked)}", timeout=PATIENCE_S) as answer:
        for line in answer:
            for result in json.loads(line)["results"]:
                if "error" in result:
                    raise RuntimeError(result["error"])
                yield from result.get("series", [])


def records(point: int, rows: list[list[Any]], now_ns: int) -> Records:
    """Of one point."""
    told = np.zeros(len(rows), RECORD)
    told["point"], told["kind"], told["at_ns"] = point, EVENT, now_ns
    told["time_ns"] = [row[0] for row in rows]
    told["value"] = [np.nan if row[1] is None else row[1] for row in rows]
    told["quality"] = [-1 if row[2] is None else row[2] for row in rows]
    return told


def main() -> None:
    receiver = Receiver.from_arguments()
    receiver.link_up()
    sys.stdin.read()
    numbers = {name: point for point, name in enumerate(receiver.plan.names())}
    url, database = f"http://127.0.0.1:{receiver.plan.influx_port}", receiver.plan.database
    try:
        for series in chunks(url, database, EVERYTHING):
            point = numbers.get(series["tags"]["point"])
            receiver.counts["values" if point is not None else "of other points"] += len(series["values"])
            if point is not None:
                receiver.ledger.extend(records(point, series["values"], time.time_ns()))
    except (OSError, RuntimeError) as error:
        receiver.trouble(error)
    receiver.finish()


if __name__ == "__main__":
    main()
