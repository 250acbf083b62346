"""Work in the background, done once or repeatedly, until it is cancelled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from service.concurrency.failures import FailureLog

logger = logging.getLogger(__name__)


class BackgroundTasks:
    """Running tasks. They are referenced here, since asyncio itself keeps only weak references.

    Callers must limit how many they spawn.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start work in a task. Needs a running event loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def repeat(self, seconds: float, work: Callable[[], Awaitable[object] | None]) -> None:
        """Do something every `seconds`. A failure is logged and does not end the repetition."""
        self.spawn(_repeated(seconds, work))

    async def cancel(self) -> None:
        """Cancel all, and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a background task failed", exc_info=error)


async def _repeated(seconds: float, work: Callable[[], Awaitable[object] | None]) -> None:
    failures = FailureLog("a periodic background task failed; it will run again")
    while True:
        await asyncio.sleep(seconds)
        try:
            if (unfinished := work()) is not None:
                await unfinished
        except Exception as error:
            failures.log(error)
