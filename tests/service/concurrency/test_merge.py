"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from service.concurrency.merge import merged
from tests.fakes.process import settle

pytestmark = pytest.mark.anyio


class Source:
    """A stream that tells what it is given.

    Attributes:
        pieces: What to tell; None ends it, and a failure is raised.
        is_over: Whether it has ended, in whichever way.
    """

    def __init__(self, *pieces: str | Exception | None) -> None:
        self.pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self.is_over = False
        for piece in pieces:
            self.pieces.put_nowait(piece)

    async def stream(self) -> AsyncGenerator[str]:
        try:
            while (piece := await self.pieces.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.is_over = True


async def test_pieces_come_as_they_are_told_each_with_its_place() -> None:
    one, other = Source("a"), Source()
    async with aclosing(merged([one.stream(), other.stream()])) as pieces:
        assert await anext(pieces) == (0, "a")
        other.pieces.put_nowait("x")
        assert await anext(pieces) == (1, "x")
        one.pieces.put_nowait(None)
        other.pieces.put_nowait("y")
        other.pieces.put_nowait(None)
        assert [piece async for piece in pieces] == [(1, "y")]


async def test_of_no_streams_there_is_nothing() -> None:
    assert [piece async for piece in merged(list[AsyncGenerator[str]]())] == []


async def test_the_first_failure_comes_after_what_was_told_and_ends_all() -> None:
    failing, other = Source("a", ValueError("wrong")), Source()
    pieces = merged([failing.stream(), other.stream()])
    assert await anext(pieces) == (0, "a")
    with pytest.raises(ValueError, match="wrong"):
        await anext(pieces)
    assert other.is_over


async def test_all_end_when_nobody_listens_any_more() -> None:
    sources = [Source("a"), Source()]
    async with aclosing(merged([source.stream() for source in sources])) as pieces:
        await anext(pieces)
    assert all(source.is_over for source in sources)


async def test_all_end_with_the_task_that_listens() -> None:
    sources = [Source(), Source()]

    async def listen() -> None:
        async for _ in merged([source.stream() for source in sources]):
            pass

    task = asyncio.ensure_future(listen())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(source.is_over for source in sources)
