"""For the gateway's processes under libfaketime, whose clock_nanosleep refuses absolute times with EINVAL.

`time.sleep` waits in select instead, which libfaketime leaves alone.
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep
