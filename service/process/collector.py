"""Garbage collection in idle moments: the slowest answers were all due to a collection in the middle of a request.

Everything loaded is frozen once, and the hot paths leave no cycles. Other cycles are collected when nothing is under
way: new objects at every look, in a millisecond, and all objects rarely, since that takes longer the more clients are
connected, 0.3 s with 3,000. While there is no idle moment, all are collected when there are too many new ones.
"""

import asyncio
import gc
import time
from collections.abc import Callable

POLL_SECONDS = 1.0
TOO_MANY_OBJECTS = 1_000_000
NEW_OBJECTS = 1  # the oldest generation that is collected with them: all that survive are moved to the next
# How long all objects are left alone after a collection of them, as a multiple of the time that it took.
PAUSE_RATIO = 100


async def collect_when_idle(is_idle: Callable[[], bool]) -> None:
    """Replace automatic garbage collection until cancelled."""
    gc.collect()
    gc.freeze()
    gc.disable()
    all_due_at = time.monotonic()
    try:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            has_too_many, started = gc.get_count()[0] > TOO_MANY_OBJECTS, time.monotonic()
            if has_too_many or (is_idle() and started >= all_due_at):
                gc.collect()
                ended = time.monotonic()
                all_due_at = ended + PAUSE_RATIO * (ended - started)
            elif is_idle():
                gc.collect(NEW_OBJECTS)
    finally:
        gc.enable()
