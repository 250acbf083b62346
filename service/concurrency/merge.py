"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


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
