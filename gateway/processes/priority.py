"""Who goes first on the machine: interlocks and control do not wait for servers, history, or what else runs there."""

from __future__ import annotations

import os
from typing import Final

from gateway.contracts.log import Log

RT_PRIORITY: Final = 1
"""The lowest of the real-time priorities: before everything ordinary, behind what the kernel itself does so."""


def before_others(log: Log) -> None:
    """This thread is run before all ordinary ones, where that is allowed; what it starts is ordinary again.

    The kernel keeps a share of each second for the others (sched_rt_runtime_us) should it never rest.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(RT_PRIORITY))
    except PermissionError:
        log.info("control has no priority over other processes", wanted=f"CAP_SYS_NICE, or LimitRTPRIO={RT_PRIORITY}")
