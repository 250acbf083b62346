"""SIGTERM, which asks a worker to end. It may come while the worker waits to serve, and while it serves.

Python runs a handler between any two instructions, so these handlers leave the work to the event loop.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from service.concurrency.background import BackgroundTasks

logger = logging.getLogger(__name__)


async def finishes_before_sigterm(awaited: Coroutine[Any, Any, None]) -> bool:
    """Wait for something, and cancel it if SIGTERM comes first.

    Returns:
        False if SIGTERM came first.
    """
    loop, is_terminating = asyncio.get_running_loop(), asyncio.Event()
    stop = signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(is_terminating.set))
    waits = [asyncio.ensure_future(wait) for wait in (awaited, is_terminating.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if is_terminating.is_set():
        return False
    signal.signal(signal.SIGTERM, stop)
    waits[0].result()  # it may have failed
    return True


class Draining:
    """What a worker does before it ends: it is not ready, and answers what it has accepted, while it still listens.

        SIGTERM ─► not ready ─► load balancers have seen it ─► all is answered ─► SIGTERM, as it was handled before

    Attributes:
        has_begun: Whether this process was asked to end.

    Args:
        drain_seconds: How long load balancers need to see that it is not ready.
        answer_all: Accepts nothing more and answers what was accepted.
        tasks: Runs the draining.
    """

    def __init__(
        self, drain_seconds: float, answer_all: Callable[[], Coroutine[Any, Any, None]], tasks: BackgroundTasks
    ) -> None:
        self._drain_seconds = drain_seconds
        self._answer_all = answer_all
        self._tasks = tasks
        self.has_begun = False

    def begin_on_sigterm(self) -> None:
        """Drain at the next SIGTERM, then raise it again. Another one meanwhile is handled as it was before."""
        loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def begin(number: int, _: FrameType | None) -> None:
            self.has_begun = True
            signal.signal(signal.SIGTERM, stop)
            loop.call_soon_threadsafe(self._tasks.spawn, self._drain(number))

        signal.signal(signal.SIGTERM, begin)

    async def _drain(self, number: int) -> None:
        name = signal.Signals(number).name
        logger.warning("received %s: no longer ready, but still answering for %g seconds", name, self._drain_seconds)
        await asyncio.sleep(self._drain_seconds)
        try:
            await self._answer_all()
        except Exception:  # whatever it is, the worker must end
            logger.exception("stopping, but not every request could be answered")
        os.kill(os.getpid(), number)
