"""Streams of events: the first of them, how long it took, and several as one."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def begun(events: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The same events, once the first is there: what fails before it is raised here."""
    return _from(await anext(events), events)


async def _from(first: T, others: AsyncGenerator[T]) -> AsyncGenerator[T]:
    async with aclosing(others):
        yield first
        async for event in others:
            yield event


async def timed(events: AsyncGenerator[T], first: Callable[[float], None]) -> AsyncGenerator[T]:
    """The same events; `first` is told how many seconds passed until there was one."""
    started = time.perf_counter()
    is_first = True
    async with aclosing(events):
        async for event in events:
            if is_first:
                first(time.perf_counter() - started)
                is_first = False
            yield event


async def merged(streams: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[tuple[int, T]]:
    """Pieces as they come, each with the place of its stream; the first failure, or nobody who listens, ends all."""
    told: asyncio.Queue[tuple[int, T] | None] = asyncio.Queue()

    async def tell(place: int, stream: AsyncGenerator[T]) -> None:
        async with aclosing(stream):
            async for piece in stream:
                told.put_nowait((place, piece))

    tasks = [asyncio.ensure_future(tell(*each)) for each in enumerate(streams)]
    end = asyncio.gather(*tasks)
    end.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (piece := await told.get()) is not None:
            yield piece
        await end
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, end, return_exceptions=True)
