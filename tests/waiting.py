"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Wait until it holds; the seconds are patience with a busy machine, for what would never hold."""
    patience = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < patience, "It came to nothing."
        time.sleep(0.02)
