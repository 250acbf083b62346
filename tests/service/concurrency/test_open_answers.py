"""Answers under way: their time, and a worker that ends."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from service.concurrency.open_answers import OpenAnswers
from service.errors import DeadlineExceeded, ShuttingDown
from tests.fakes.process import settle

pytestmark = pytest.mark.anyio


async def numbers(go_on: asyncio.Event) -> AsyncGenerator[int]:
    """A number, and another once the event is set."""
    yield 1
    await go_on.wait()
    yield 2


async def test_an_answer_has_its_time_from_when_it_was_asked() -> None:
    with pytest.raises(DeadlineExceeded, match="within 100 seconds"):
        async with asyncio.timeout(10), OpenAnswers(100).answer(since=time.perf_counter() - 99.99):
            await asyncio.Event().wait()
    async with aclosing(OpenAnswers(0.02).pieces(numbers(asyncio.Event()))) as pieces:
        assert await anext(pieces) == 1
        with pytest.raises(DeadlineExceeded):
            await anext(pieces)


async def test_a_drain_waits_for_the_last_of_several() -> None:
    open_answers, ends = OpenAnswers(60), [asyncio.Event(), asyncio.Event()]

    async def answer(end: asyncio.Event) -> None:
        async with open_answers.answer():
            await end.wait()

    answers = [asyncio.create_task(answer(end)) for end in ends]
    await settle()
    drained = asyncio.create_task(open_answers.drain())
    for end, answered in zip(ends, answers, strict=True):
        assert not drained.done()
        end.set()
        await answered
        await settle()
    assert drained.done()


async def test_a_drain_waits_for_what_is_under_way_and_lets_nothing_begin() -> None:
    open_answers, go_on = OpenAnswers(60), asyncio.Event()

    async def answer() -> None:
        async with open_answers.answer():
            await go_on.wait()

    async def stream() -> list[int]:
        return [piece async for piece in open_answers.pieces(numbers(go_on))]

    answered, streamed = asyncio.create_task(answer()), asyncio.create_task(stream())
    await settle()
    drained = asyncio.create_task(open_answers.drain())
    await settle()
    assert not drained.done()
    with pytest.raises(ShuttingDown):
        async with open_answers.answer():
            raise AssertionError
    with pytest.raises(ShuttingDown):
        await anext(open_answers.pieces(numbers(go_on)))
    go_on.set()
    await answered
    assert await streamed == [1, 2]
    await drained
    await open_answers.drain()


async def test_a_drain_waits_no_longer_than_an_answer_may_take() -> None:
    open_answers = OpenAnswers(0.1)
    async with aclosing(open_answers.pieces(numbers(asyncio.Event()))) as unread:
        await anext(unread)
        await open_answers.drain()
        async with asyncio.timeout(0.05):
            await open_answers.drain()
