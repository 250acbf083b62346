"""Garbage collection in idle moments: the slowest answers were all due to a collection in the middle of a request.

Everything loaded is frozen once, and the hot paths leave no cycles. Other cycles are collected when nothing is under
way, or when there are too many.
"""

import asyncio
import gc
from collections.abc import Callable

POLL_SECONDS = 1.0
TOO_MANY_OBJECTS = 1_000_000


async def collect_when_idle(is_idle: Callable[[], bool]) -> None:
    """Replace automatic garbage collection until cancelled."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if is_idle() or gc.get_count()[0] > TOO_MANY_OBJECTS:
                gc.collect()
    finally:
        gc.enable()
