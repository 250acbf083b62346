"""Streams of events: the first of them, how long it took, and several as one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from service.concurrency.streams import merged, time_to_first, wait_for_first
from tests.fakes.process import settle

pytestmark = pytest.mark.anyio


class Numbers:
    """A stream from 1 on, which fails at a number and knows whether it was closed."""

    def __init__(self, fails_at: int = 0) -> None:
        self.is_closed = False
        self._fails_at = fails_at

    async def told(self) -> AsyncGenerator[int]:
        try:
            for number in range(1, 4):
                if number == self._fails_at:
                    raise ValueError(number)
                yield number
        finally:
            self.is_closed = True


async def test_a_stream_that_has_begun_tells_its_first_event_too() -> None:
    assert [number async for number in await wait_for_first(Numbers().told())] == [1, 2, 3]


async def test_what_fails_before_the_first_event_is_raised_at_the_beginning_and_the_rest_where_it_is_told() -> None:
    with pytest.raises(ValueError, match="1"):
        await wait_for_first(Numbers(fails_at=1).told())
    events = await wait_for_first(Numbers(fails_at=2).told())
    assert await anext(events) == 1
    with pytest.raises(ValueError, match="2"):
        await anext(events)


@pytest.mark.parametrize("is_timed", [False, True])
async def test_a_stream_that_nobody_listens_to_any_more_is_closed(is_timed: bool) -> None:
    numbers = Numbers()
    events = time_to_first(numbers.told(), lambda _: None) if is_timed else await wait_for_first(numbers.told())
    assert await anext(events) == 1
    await events.aclose()
    assert numbers.is_closed


async def test_the_time_to_the_first_event_is_told_once() -> None:
    told = list[float]()
    events = time_to_first(Numbers().told(), told.append)
    assert (await anext(events), len(told)) == (1, 1)
    assert [number async for number in events] == [2, 3]
    assert len(told) == 1
    assert 0 <= told[0] < 60


async def test_a_stream_that_fails_at_once_has_no_time_to_tell() -> None:
    told = list[float]()
    with pytest.raises(ValueError, match="1"):
        await anext(time_to_first(Numbers(fails_at=1).told(), told.append))
    assert told == []


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
