"""Waiting for what other processes or threads bring about."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for something that other processes bring about; how many seconds it took."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"not within {seconds} seconds: {what}")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started
