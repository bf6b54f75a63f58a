"""Ports for servers that start later.

A port that the system hands out may be given to somebody's outgoing connection before the server listens on it. So
these lie below what Linux gives to outgoing connections (ip_local_port_range), and each process of the test run takes
them from a share of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from typing import Final

FIRST: Final = 12_000
LAST: Final = 32_000
SHARES: Final = 20
"""One for each worker of a test run, or by chance for a process that is none."""


def _share() -> range:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    number = int(worker.removeprefix("gw")) if worker else os.getpid()
    size = (LAST - FIRST) // SHARES
    first = FIRST + number % SHARES * size
    return range(first, first + size)


_PORTS: Final = itertools.cycle(_share())
# Two runs side by side begin at different places of a share.
for _ in range(os.getpid() % 997):
    next(_PORTS)


def free_port() -> int:
    """A port that nobody uses, neither for TCP nor for UDP, and that nobody else will be given."""
    for port in itertools.islice(_PORTS, (LAST - FIRST) // SHARES):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            return port
    raise AssertionError("every port of this process's share is taken")


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    return [free_port() for _ in range(count)]
