"""The simulator's process: the devices of a site over their real protocols, until it is told to stop.

::

    python -m gateway.demo.runner SITE [--seed N] [--speed X] [--lifeline]

Prints one line when every device is on the network. Takes orders on standard input (`gateway.demo.orders`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from setproctitle import setproctitle

from gateway import registry
from gateway.config import load_site, render
from gateway.contracts import ConfigError, DriverPlan, FieldSimulator
from gateway.demo.orders import LineSplitter, OrderError, parse
from gateway.demo.site import SimulatedPlan, SimulatedSite
from gateway.demo.welcome import first_password, welcome
from gateway.site.plan import SitePlan
from gateway.terminal import refuse

TICK_S: Final = 0.03
LONGEST_STEP_S: Final = 1.0
"""After a pause of the machine the plant is moved on by this much and no more."""


def build_simulator(driver: str, plan: DriverPlan) -> FieldSimulator:
    """The simulator that a field protocol ships, for this plan. `LookupError` when the protocol has none."""
    reference = registry.field(driver).simulator
    if not reference:
        raise LookupError(f"the field protocol {driver!r} has no simulator")
    simulator: FieldSimulator = registry.load(reference)(plan)
    return simulator


async def run_simulator(
    plan: SimulatedPlan,
    *,
    seed: int = 1,
    speed: float = 1.0,
    lifeline: bool = False,
    orders: bool = True,
    greeting: Callable[[], str] | None = None,
) -> None:
    """Play all devices of the site until SIGTERM or SIGINT, or until standard input ends if `lifeline`.

    `speed` is plant seconds per second; `greeting` is asked for and printed once all devices are on the network.
    Raises `OSError` when an address is taken.
    """
    site = SimulatedSite(plan, build_simulator, seed=seed)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    lines: asyncio.Queue[str] = asyncio.Queue()
    try:
        await site.start()
        _say("" if greeting is None else greeting())
        _say(f"simulating {', '.join(site.devices)}")
        if orders or lifeline:
            _read_orders(loop, lines.put_nowait, stopping.set if lifeline else None)
        await asyncio.gather(_move(site, stopping, speed), _obey(site, stopping, lines))
    finally:
        await site.stop()


async def _move(site: SimulatedSite, stopping: asyncio.Event, speed: float) -> None:
    before = time.monotonic()
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), TICK_S)
        now = time.monotonic()
        site.tick(min(now - before, LONGEST_STEP_S) * speed)
        before = now


async def _obey(site: SimulatedSite, stopping: asyncio.Event, lines: asyncio.Queue[str]) -> None:
    end = asyncio.ensure_future(stopping.wait())
    while not stopping.is_set():
        line = asyncio.ensure_future(lines.get())
        await asyncio.wait({line, end}, return_when=asyncio.FIRST_COMPLETED)
        if line.done():
            _say(await _carry_out(site, line.result()))
        else:
            line.cancel()
    await end


async def _carry_out(site: SimulatedSite, line: str) -> str:
    try:
        order = parse(line)
        if order is not None:
            await site.order(order)
    except OrderError as error:
        return f"not understood: {error}"
    except OSError as error:
        return f"failed: {line.strip()}: {error}"
    return f"done: {line.strip()}" if order is not None else ""


def _read_orders(
    loop: asyncio.AbstractEventLoop, take: Callable[[str], None], ended: Callable[[], None] | None
) -> None:
    """Read standard input in a thread: unlike a transport it works for pipes, terminals and files alike.

    The thread reads the descriptor itself; a thread inside `sys.stdin` would hold its lock while the process ends.
    """

    def read() -> None:
        splitter = LineSplitter()
        with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the loop has closed, nobody listens
            while data := os.read(0, 4096):
                for line in splitter.feed(data):
                    loop.call_soon_threadsafe(take, line)
        if ended is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended)

    threading.Thread(target=read, name="orders", daemon=True).start()


def _say(text: str) -> None:
    if text:
        # The reader may have gone; the plant goes on without it.
        with contextlib.suppress(OSError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()


def _greeting(plan: SitePlan, state_dir: Path | None) -> str:
    return welcome(plan, state_dir, first_password(plan, state_dir))


def _wants_orders() -> bool:
    """Not from a terminal that this process does not own: reading it would stop the process (SIGTTIN)."""
    try:
        return not os.isatty(0) or os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _speed(text: str) -> float:
    value = float(text)
    if not 0.0 < value <= 1000.0:
        raise argparse.ArgumentTypeError("speed must be above 0 and at most 1000")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway.demo.runner", description="Play the devices of a site.")
    parser.add_argument("site", type=Path, help="site.yaml")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same hours")
    parser.add_argument("--speed", type=_speed, default=1.0, help="plant seconds per second")
    parser.add_argument("--lifeline", action="store_true", help="stop when standard input ends")
    parser.add_argument("--welcome", action="store_true", help="print where to connect and what to try")
    parser.add_argument("--state-dir", type=Path, help="the gateway's, to be named in the commands of --welcome")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    setproctitle("gridgate simulator")
    try:
        plan = load_site(chosen.site)
        asyncio.run(
            run_simulator(
                plan,
                seed=chosen.seed,
                speed=chosen.speed,
                lifeline=chosen.lifeline,
                orders=_wants_orders(),
                greeting=(lambda: _greeting(plan, chosen.state_dir)) if chosen.welcome else None,
            )
        )
    except ConfigError as error:
        sys.stderr.write(render(error.report) + "\n")
        return 1
    except (LookupError, OSError) as error:
        hint = "; is another demo running?" if getattr(error, "errno", None) == errno.EADDRINUSE else ""
        return refuse(f"the simulator cannot start: {error}{hint}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
