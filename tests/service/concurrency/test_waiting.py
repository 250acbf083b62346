"""Work that is waited for together, at once, or in a thread."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from service.concurrency.waiting import MAX_ON_LOOP, off_loop, run_now, together

pytestmark = pytest.mark.anyio


class Work:
    """Work that waits until it may end, and knows whether it was cancelled."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.is_cancelled = False

    async def do(self, result: int) -> int:
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise
        return result


async def fail() -> int:
    raise ValueError("by a test")


async def test_results_come_in_the_order_of_the_work() -> None:
    first, second = Work(), Work()

    async def end_the_first() -> int:
        await second.may_end.wait()
        first.may_end.set()
        return 3

    second.may_end.set()
    assert await together([first.do(1), second.do(2), end_the_first()]) == [1, 2, 3]


async def test_one_piece_of_work_and_none_are_waited_for_too() -> None:
    work = Work()
    work.may_end.set()
    assert await together([work.do(1)]) == [1]
    none: list[Coroutine[Any, Any, int]] = []
    assert await together(none) == []


async def test_one_failure_cancels_the_other_work() -> None:
    work = Work()
    with pytest.raises(ValueError, match="by a test"):
        await together([work.do(1), fail()])
    assert work.is_cancelled


async def test_a_failure_is_raised_once_the_other_work_has_ended() -> None:
    has_ended = False

    async def end_slowly() -> int:
        nonlocal has_ended
        try:
            return await Work().do(1)
        finally:
            await asyncio.sleep(0.01)
            has_ended = True

    with pytest.raises(ValueError, match="by a test"):
        await together([end_slowly(), fail()])
    assert has_ended


def test_work_that_never_waits_is_done_at_once() -> None:
    async def answer() -> int:
        return 3

    assert run_now(answer()) == 3
    with pytest.raises(ValueError, match="by a test"):
        run_now(fail())


def test_work_that_waits_is_given_up() -> None:
    is_closed = False

    async def wait() -> None:
        nonlocal is_closed
        try:
            await asyncio.sleep(0)
        finally:
            is_closed = True

    work = wait()
    with pytest.raises(RuntimeError, match="has waited"):
        run_now(work)
    assert is_closed


@pytest.mark.parametrize(("size", "is_on_loop"), [(MAX_ON_LOOP, True), (MAX_ON_LOOP + 1, False)])
async def test_long_work_is_done_in_a_thread(size: int, is_on_loop: bool) -> None:
    thread = await off_loop(size, threading.current_thread)
    assert (thread is threading.current_thread()) == is_on_loop
