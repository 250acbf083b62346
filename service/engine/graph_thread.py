"""The one thread that runs a bundle's graphs. onnxruntime releases the GIL, so the event loop keeps running."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T")


class GraphThread(Generic[R]):
    """Takes the items of iterators, in order. An executor would have three times the overhead per run.

    Args:
        name: Name of the thread.
        warm_up: Called before anything else.
    """

    def __init__(self, name: str, warm_up: Callable[[], None] = lambda: None) -> None:
        self._warm_up = warm_up
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[Iterator[R], Callable[[R], None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(self, results: Iterator[R], told: Callable[[R], None]) -> None:
        """Queue an iterator, which must not raise. `told` is called on the event loop with each of its items."""
        self._queue.put((results, told))

    async def stop(self) -> None:
        """Stop after all that was submitted."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        try:
            self._warm_up()
        except Exception:  # every run will fail in the same way, and each fails its jobs
            logger.exception("the thread %s could not warm up its graphs", self._thread.name)
        while (item := self._queue.get()) is not None:
            self._tell_all(*item)
            del item  # the batch may be large, and the wait for the next one long

    def _tell_all(self, results: Iterator[R], told: Callable[[R], None]) -> None:
        for result in results:
            self._loop.call_soon_threadsafe(told, result)


def timed(work: Callable[[], T]) -> tuple[T | Exception, float]:
    """Run work, and return its result or its exception, and the duration in seconds."""
    started = time.perf_counter()
    try:
        result: T | Exception = work()
    except Exception as error:  # a graph's failure is its jobs' failure, never the thread's
        result = error
    return result, time.perf_counter() - started
