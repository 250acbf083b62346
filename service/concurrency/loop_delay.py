"""The event loop's delay: how long what is ready waits for its turn, since the loop is busy with other work."""

import asyncio
import time
from collections.abc import Callable

POLL_SECONDS = 0.1


async def observe_loop_delay(observe: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> None:
    """Observe how late a timer runs, in seconds, until cancelled.

    Each time the timer is set anew, so a process that was stopped shows as one long delay, not as many.

    Args:
        observe: Called about every POLL_SECONDS.
        clock: Monotonic seconds. The loop's own clock counts milliseconds under uvloop.
    """
    while True:
        due_at = clock() + POLL_SECONDS
        await asyncio.sleep(POLL_SECONDS)
        observe(max(0.0, clock() - due_at))  # timers may run a little early
