"""Streams of events: the first of them, how long it took, and several as one."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def wait_for_first(events: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Wait for the first event, raising any error before it, and return the same events."""
    return _from(await anext(events), events)


async def _from(first: T, others: AsyncGenerator[T]) -> AsyncGenerator[T]:
    async with aclosing(others):
        yield first
        async for event in others:
            yield event


async def time_to_first(events: AsyncGenerator[T], observe: Callable[[float], None]) -> AsyncGenerator[T]:
    """Yield the same events. `observe` is called with the seconds until the first one."""
    started = time.perf_counter()
    is_first = True
    async with aclosing(events):
        async for event in events:
            if is_first:
                observe(time.perf_counter() - started)
                is_first = False
            yield event


async def merged(streams: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[tuple[int, T]]:
    """Yield pieces as they come, each with the index of its stream. The first failure, or a close, ends all streams."""
    pieces: asyncio.Queue[tuple[int, T] | None] = asyncio.Queue()

    async def read(index: int, stream: AsyncGenerator[T]) -> None:
        async with aclosing(stream):
            async for piece in stream:
                pieces.put_nowait((index, piece))

    tasks = [asyncio.ensure_future(read(*each)) for each in enumerate(streams)]
    end = asyncio.gather(*tasks)
    end.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
        await end
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, end, return_exceptions=True)
