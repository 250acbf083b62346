"""The one thread that runs a bundle's graphs. onnxruntime releases the GIL, so the event loop keeps running."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

R = TypeVar("R")
Work = Callable[[], R]
# Called on the event loop with the result or the exception, and the duration in seconds.
Done = Callable[[R | Exception, float], None]


class GraphThread(Generic[R]):
    """Runs work in order. An executor would have three times the overhead per run.

    Args:
        name: Name of the thread.
        warm_up: Called before any work.
    """

    def __init__(self, name: str, warm_up: Callable[[], None] = lambda: None) -> None:
        self._warm_up = warm_up
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[Work[R], Done[R]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Work[R], done: Done[R]) -> None:
        """Queue work. `done` is called on the event loop after it has run."""
        self._queue.put((work, done))

    async def stop(self) -> None:
        """Stop after all submitted work."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        try:
            self._warm_up()
        except Exception:  # every run will fail in the same way, and each fails its jobs
            logger.exception("the thread %s could not warm up its graphs", self._thread.name)
        while (item := self._queue.get()) is not None:
            work, done = item
            self._loop.call_soon_threadsafe(done, *timed(work))
            del item, work, done  # the batch may be large, and the wait for the next one long


def timed(work: Work[R]) -> tuple[R | Exception, float]:
    """Run work, and return its result or its exception, and the duration in seconds."""
    started = time.perf_counter()
    try:
        result: R | Exception = work()
    except Exception as error:  # a graph's failure is its jobs' failure, never the thread's
        result = error
    return result, time.perf_counter() - started
