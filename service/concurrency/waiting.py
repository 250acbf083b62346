"""Waiting for work without blocking the event loop."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

# About a millisecond of work; a thread costs a tenth of that.
MAX_ON_LOOP = 4096


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results in order, or raise the first failure once all other work has been cancelled and has ended."""
    all_work = list(work)
    if len(all_work) == 1:
        return [await all_work[0]]
    tasks = [asyncio.ensure_future(each) for each in all_work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work that never suspends, without the cost of a task. Raise RuntimeError if it does."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise RuntimeError(f"{work} has waited")


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """Do synchronous work, in a thread if its size (characters, numbers) would block the event loop for long."""
    return work() if size <= MAX_ON_LOOP else await asyncio.to_thread(work)
