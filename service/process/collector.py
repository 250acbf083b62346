"""Garbage collection in idle moments: a collection in the middle of a request was all of the slowest answers.

What has been loaded is frozen once, and the hot paths leave no cycles. What else leaves some is collected when nothing
is under way, or when there is too much of it.
"""

import asyncio
import gc
from collections.abc import Callable

LOOK_SECONDS = 1.0
TOO_MANY_OBJECTS = 1_000_000


async def collect_when_idle(is_idle: Callable[[], bool]) -> None:
    """Take garbage collection over until cancelled."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if is_idle() or gc.get_count()[0] > TOO_MANY_OBJECTS:
                gc.collect()
    finally:
        gc.enable()
