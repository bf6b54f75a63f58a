"""What every receiver's process has: its plan, its ledger, its end, and the line it says at the end.

``python -m tests.soak.receivers.NAME PLAN.json PEER`` prints ``ready`` once when it is connected first, ends with its
standard input, and then prints one JSON line of counters.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections import Counter
from typing import Final

from tests.soak.ledger import LINK_LOST, LINK_UP, LedgerWriter
from tests.soak.plan import Peer, SoakPlan

TIME_INVALID: Final = 1 << 16
"""Beside a protocol's own quality bits: its time tag is marked as invalid."""


class Receiver:
    """The books of one peer of the plan."""

    def __init__(self, plan: SoakPlan, peer: Peer, ledger: LedgerWriter | None = None) -> None:
        self.plan, self.peer = plan, peer
        self.ledger = ledger or LedgerWriter(plan.ledgers / f"{peer.name}.bin")
        self.counts: Counter[str] = Counter()
        self.ended = False
        self._ready = False
        self.up = False

    @classmethod
    def from_arguments(cls) -> Receiver:
        """Of the process's command line."""
        plan = SoakPlan.load(sys.argv[1])
        return cls(plan, plan.peer(sys.argv[2]))

    def link_up(self) -> None:
        """Connected, and told everything from here on."""
        self.up = True
        self.counts["connects"] += 1
        self.ledger.mark(LINK_UP)
        self.say_ready()

    def say_ready(self) -> None:
        """Once: everything of it is connected."""
        if not self._ready:
            self._ready = True
            print("ready", flush=True)

    def link_lost(self) -> None:
        """The connection ended, whoever ended it; nothing where there was none."""
        if self.up:
            self.up = False
            self.ledger.mark(LINK_LOST)

    def trouble(self, error: BaseException) -> None:
        """A reason for which it is not connected: counted, told at the end."""
        words = f"{type(error).__name__}: {error}"[:120]
        if not self.counts[words]:
            print(words, file=sys.stderr, flush=True)
        self.counts[words] += 1

    def finish(self) -> None:
        """Close the books and say the counters."""
        self.link_lost()
        self.ledger.close()
        print(json.dumps({"name": self.peer.name, **self.counts}), flush=True)


def at_end() -> socket.socket:
    """A socket that becomes readable when standard input has ended."""
    mine, other = socket.socketpair()

    def wait() -> None:
        sys.stdin.read()
        other.send(b"x")

    threading.Thread(target=wait, daemon=True).start()
    return mine


def end_event() -> asyncio.Event:
    """The same for a running loop."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, daemon=True).start()
    return ended
