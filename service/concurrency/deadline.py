"""A limit on how long an answer may take."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

from service.errors import DeadlineExceeded

T = TypeVar("T")


@asynccontextmanager
async def deadline(seconds: float, since: float | None = None) -> AsyncIterator[None]:
    """Cancel what runs in this context after `seconds`, and raise DeadlineExceeded.

    Args:
        seconds: How long it may take.
        since: When that time starts, by `time.perf_counter`. Now if left out.
    """
    limit = asyncio.timeout(seconds if since is None else since + seconds - time.perf_counter())
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():  # it is not ours: a disk's or a socket's
            raise
        raise deadline_exceeded(seconds) from error


async def with_deadline(seconds: float, pieces: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yield the same pieces. Raise DeadlineExceeded unless the last one comes within `seconds`."""
    started = time.perf_counter()
    async with aclosing(pieces):
        while True:
            try:
                async with deadline(seconds, started):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            yield piece


def deadline_exceeded(seconds: float) -> DeadlineExceeded:
    """Return the refusal of an answer that has taken longer than `seconds`."""
    return DeadlineExceeded(
        f"no answer within {seconds:g} seconds; nothing was committed: send it again, or less at a time, for instance "
        "fewer texts, or fewer requests side by side"
    )
