"""The two clocks that decisions go by: this machine's time since boot, and the database's time (G1)."""

import time
from functools import partial

from accounts.revisions import CLOCK_RATE_ERROR, LEASE_SECONDS

# Seconds of a clock that never goes back and counts the time a machine sleeps, where the system has one.
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: its monotonic clock

boot_seconds = partial(time.clock_gettime, _BOOT)

# By so much may this machine's clock fall behind the database's within a lease: both may be off in their rate.
FALLS_BEHIND = LEASE_SECONDS * 2 * CLOCK_RATE_ERROR / (1 - CLOCK_RATE_ERROR)


def database_ahead(*, said: float, asked_at: float) -> float:
    """What to add to boot seconds for the database's Unix time; never too little while a lease lasts.

    The database looked at its clock after it was asked, so counting from the asking is early by the way there; what
    ends by date is refused up to that and `FALLS_BEHIND` (0.1 s) too early, and never too late.

    :param said: Unix seconds in its answer; `asked_at`: boot seconds, taken before it was asked.
    """
    return said - asked_at + FALLS_BEHIND
