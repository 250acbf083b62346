"""Streams of events: the first of them, and how long it took."""

import time
from collections.abc import AsyncGenerator, Callable
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
