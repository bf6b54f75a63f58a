"""An OPC UA client by node-opcua (tests/peers/nodeopcua/subscriber.js), in a process of its own that this one reads.

The ledger is that of `opcua`: the first notification of an item in a session is `ANSWERED`, later ones are `EVENT`,
quality the status code's upper 16 bits; times are exact to 100 ns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.soak.ledger import ANSWERED, EVENT, LOST_TOLD
from tests.soak.plan import NODE_PEER
from tests.soak.receivers.opcua import OVERFLOW, POINTS, PUBLISH_MS, QUEUE
from tests.soak.receivers.process import Receiver


class Book:
    """What the client's lines say, written down."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._told: set[int] = set()

    def hear(self, line: dict[str, Any]) -> None:
        """One line."""
        if "told" in line:
            for told in line["told"]:
                self._value(*told)
        elif "up" in line:
            self._receiver.link_up()
        elif "down" in line:
            self._told.clear()
            self._receiver.link_lost()
            self._receiver.counts[str(line["down"])[:120]] += 1

    def _value(self, number: int, value: float | None, code: int, time_ms: int, picoseconds: int) -> None:
        point = self._receiver.peer.first + number
        if code & OVERFLOW == OVERFLOW:
            self._receiver.ledger.mark(LOST_TOLD, point)
        kind = EVENT if point in self._told else ANSWERED
        self._told.add(point)
        time_ns = time_ms * 1_000_000 + picoseconds // 1_000
        self._receiver.ledger.add(point, kind, float("nan") if value is None else value, code >> 16, time_ns)
        self._receiver.counts["values"] += 1


def main() -> None:
    receiver = Receiver.from_arguments()
    plan, peer = receiver.plan, receiver.peer
    asked = {
        "url": f"opc.tcp://127.0.0.1:{peer.port}",
        "namespace": POINTS,
        "nodes": [plan.name(point) for point in range(peer.first, peer.first + peer.count)],
        "interval": PUBLISH_MS,
        "queue": QUEUE,
        "folder": str(Path(plan.folder) / f"{peer.name}-pki"),
    }
    book, ended = Book(receiver), threading.Event()
    with subprocess.Popen(
        ["node", str(NODE_PEER / "subscriber.js"), json.dumps(asked)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as client:
        assert client.stdin is not None and client.stdout is not None
        threading.Thread(target=_end_with_input, args=(client, ended), daemon=True).start()
        for line in client.stdout:
            if line.startswith(b"{"):
                book.hear(json.loads(line))
    if not ended.is_set():
        receiver.counts["failed"] += 1
        print(f"node-opcua ended with status {client.returncode}", file=sys.stderr)
    receiver.finish()


def _end_with_input(client: subprocess.Popen[bytes], ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()
    assert client.stdin is not None
    client.stdin.close()


if __name__ == "__main__":
    main()
