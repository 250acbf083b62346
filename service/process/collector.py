"""Garbage collection in idle moments: the slowest answers were all due to a collection in the middle of a request.

Everything loaded is frozen once, and the hot paths leave no cycles. Other cycles are collected when nothing is under
way: new objects at every look, in a millisecond, and all objects rarely, since that takes longer the more clients are
connected, 0.3 s with 3,000. While there is no idle moment, new objects are collected when there are many, in 5 ms, and
all after many such collections: some cycles outlive one.
"""

import asyncio
import gc
import time
from collections.abc import Callable

POLL_SECONDS = 1.0
MANY_OBJECTS = 50_000
MANY_COLLECTIONS = 20
NEW_OBJECTS = 1  # the oldest generation that is collected with them: all that survive are moved to the next
# How long all objects are left alone after a collection of them, as a multiple of the time that it took.
PAUSE_RATIO = 100


async def collect_when_idle(is_idle: Callable[[], bool]) -> None:
    """Replace automatic garbage collection until cancelled."""
    gc.collect()
    gc.freeze()
    gc.disable()
    all_due_at, num_under_load = time.monotonic(), 0
    try:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            has_paused, started = is_idle(), time.monotonic()
            if not has_paused and gc.get_count()[0] <= MANY_OBJECTS:
                continue
            num_under_load += not has_paused
            if num_under_load > MANY_COLLECTIONS or (has_paused and started >= all_due_at):
                gc.collect()
                ended = time.monotonic()
                all_due_at, num_under_load = ended + PAUSE_RATIO * (ended - started), 0
            else:
                gc.collect(NEW_OBJECTS)
    finally:
        gc.enable()
