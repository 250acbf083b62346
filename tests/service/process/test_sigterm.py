"""SIGTERM while a worker waits, and while it serves."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from service.concurrency.background import BackgroundTasks
from service.process.sigterm import Draining, finishes_before_sigterm
from tests.fakes.process import settle, until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def stops() -> Iterator[list[int]]:
    """What a server would have heard of, which handles the signal in its own way."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


async def test_what_comes_first_is_waited_for_and_the_signal_is_handled_as_before(stops: list[int]) -> None:
    assert await finishes_before_sigterm(asyncio.sleep(0)) is True
    signal.raise_signal(signal.SIGTERM)
    assert stops == [signal.SIGTERM]


async def test_what_fails_before_the_signal_has_not_come() -> None:
    async def fail() -> None:
        raise OSError("by a test")

    with pytest.raises(OSError, match="by a test"):
        await finishes_before_sigterm(fail())


async def test_who_is_told_to_end_while_it_waits_waits_no_longer(stops: list[int]) -> None:
    has_ended = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            has_ended.set()

    waiting = asyncio.create_task(finishes_before_sigterm(wait()))
    await settle()
    signal.raise_signal(signal.SIGTERM)
    assert await waiting is False
    await asyncio.wait_for(has_ended.wait(), 10)
    assert stops == []


async def test_all_is_answered_before_the_server_hears_of_the_end(stops: list[int]) -> None:
    may_answer, tasks = asyncio.Event(), BackgroundTasks()

    async def answer_all() -> None:
        await may_answer.wait()

    draining = Draining(0.0, answer_all, tasks)
    draining.begin_on_sigterm()
    assert draining.has_begun is False
    signal.raise_signal(signal.SIGTERM)
    assert draining.has_begun is True
    await settle()
    assert stops == []
    may_answer.set()
    await until(lambda: stops == [signal.SIGTERM])
    await tasks.cancel()


async def test_a_worker_that_cannot_answer_all_ends_all_the_same(stops: list[int]) -> None:
    async def fail() -> None:
        raise OSError("by a test")

    tasks = BackgroundTasks()
    Draining(0.0, fail, tasks).begin_on_sigterm()
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: stops == [signal.SIGTERM])
    await tasks.cancel()


async def test_a_second_signal_is_not_put_off(stops: list[int]) -> None:
    tasks = BackgroundTasks()
    draining = Draining(60.0, asyncio.Event().wait, tasks)
    draining.begin_on_sigterm()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert stops == [signal.SIGTERM]
    await settle()
    await tasks.cancel()
