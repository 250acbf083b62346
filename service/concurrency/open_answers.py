"""Answers computed for clients besides steps: none may take too long, and a shutdown waits for those under way."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TypeVar

from service.concurrency.deadline import deadline, with_deadline
from service.errors import ShuttingDown

T = TypeVar("T")


class OpenAnswers:
    """Answers under way.

    Args:
        timeout_seconds: How long each may take.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._num_open = 0
        self._drain_ends: float | None = None  # by the event loop's clock; nothing more is begun once it is set
        self._drained = asyncio.Event()
        self._drained.set()

    @asynccontextmanager
    async def answer(self, since: float | None = None) -> AsyncIterator[None]:
        """Run the work on an answer inside this context.

        Args:
            since: When its time starts, by `time.perf_counter`. Now if left out.

        Raises:
            ShuttingDown: The service is shutting down.
            DeadlineExceeded: It has taken too long.
        """
        with self._counted():
            async with deadline(self._timeout_seconds, since):
                yield

    async def pieces(self, pieces: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """Yield the same pieces, which together are one answer. Raise the errors of `answer`."""
        with self._counted():
            async with aclosing(with_deadline(self._timeout_seconds, pieces)) as timed:
                async for piece in timed:
                    yield piece

    async def drain(self) -> None:
        """Begin nothing more, and wait for the answers under way, but no longer than one answer may take."""
        if self._drain_ends is None:
            self._drain_ends = asyncio.get_running_loop().time() + self._timeout_seconds
        try:
            async with asyncio.timeout_at(self._drain_ends):
                await self._drained.wait()
        except TimeoutError:
            pass  # a client that reads a stream slowly

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._drain_ends is not None:
            raise ShuttingDown
        self._num_open += 1
        self._drained.clear()
        try:
            yield
        finally:
            self._num_open -= 1
            if not self._num_open:
                self._drained.set()
