"""Seconds of a clock that never goes back and counts the time a machine sleeps, where the system has one (G1)."""

import time
from functools import partial

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: its monotonic clock

boot_seconds = partial(time.clock_gettime, _BOOT)
