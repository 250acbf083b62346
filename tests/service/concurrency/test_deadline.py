"""How long an answer may take, whole or in pieces."""

import asyncio
import time
from collections.abc import AsyncGenerator
from types import SimpleNamespace

import pytest

from service.concurrency.deadline import deadline, with_deadline
from service.errors import DeadlineExceeded
from tests.fakes.clock import Clock

pytestmark = pytest.mark.anyio


class Pieces:
    """Some numbers, and then nothing for ever."""

    is_closed = False

    async def told(self, numbers: int) -> AsyncGenerator[int]:
        try:
            for number in range(numbers):
                yield number
            await asyncio.Event().wait()
        finally:
            self.is_closed = True


async def test_what_takes_too_long_is_cancelled() -> None:
    with pytest.raises(
        DeadlineExceeded,
        match=r"within 0.01 seconds.* send it again, or .* fewer texts, or fewer requests side by side",
    ):
        async with deadline(0.01):
            await asyncio.Event().wait()


async def test_a_deadline_counts_from_when_it_is_told() -> None:
    async with asyncio.timeout(60):
        with pytest.raises(DeadlineExceeded, match=r"within 100 seconds"):
            async with deadline(100, since=time.perf_counter() - 99.99):
                await asyncio.Event().wait()
    for seconds, since in ((0.01, time.perf_counter() + 100), (100, time.perf_counter() - 1)):
        async with deadline(seconds, since):
            await asyncio.sleep(0.02)


async def test_a_timeout_of_something_else_is_not_the_deadline() -> None:
    async def failing() -> AsyncGenerator[int]:
        yield 1
        raise TimeoutError("a disk's")

    with pytest.raises(TimeoutError, match="a disk's"):
        async with deadline(60):
            raise TimeoutError("a disk's")
    within = with_deadline(60, failing())
    assert await anext(within) == 1
    with pytest.raises(TimeoutError, match="a disk's"):
        await anext(within)


async def test_pieces_that_end_in_time_are_all_there_are() -> None:
    async def three() -> AsyncGenerator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    assert [number async for number in with_deadline(9, three())] == [0, 1, 2]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What deadlines go by."""
    clock = Clock()
    monkeypatch.setattr("service.concurrency.deadline.time", SimpleNamespace(perf_counter=clock))
    return clock


async def test_pieces_that_never_end_end_at_the_deadline(clock: Clock) -> None:
    pieces = Pieces()
    within = with_deadline(100, pieces.told(3))
    assert [await anext(within) for _ in range(3)] == [0, 1, 2]
    clock.now += 99.99
    with pytest.raises(DeadlineExceeded, match=r"within 100 seconds"):
        await anext(within)
    assert pieces.is_closed


async def test_time_in_which_nobody_asks_counts(clock: Clock) -> None:
    pieces = Pieces()
    within = with_deadline(100, pieces.told(1))
    assert await anext(within) == 0
    clock.now += 101
    with pytest.raises(DeadlineExceeded):
        await anext(within)


async def test_pieces_that_nobody_asks_for_any_more_are_closed() -> None:
    pieces = Pieces()
    within = with_deadline(9, pieces.told(3))
    assert await anext(within) == 0
    await within.aclose()
    assert pieces.is_closed
