"""Work that nobody waits for."""

import asyncio
import gc
import logging
import weakref

import pytest

from service.concurrency.background import BackgroundTasks
from tests.fakes.process import settle, until

pytestmark = pytest.mark.anyio


class Work:
    """Counts how often it is done, and fails the first time."""

    num_done = 0

    async def do(self) -> None:
        self.num_done += 1
        if self.num_done == 1:
            raise OSError("by a test")


async def test_what_is_repeated_goes_on_after_a_failure_which_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tasks, work = BackgroundTasks(), Work()
    with caplog.at_level(logging.ERROR):
        tasks.repeat(0.0, work.do)
        await until(lambda: work.num_done >= 3)
    assert [each.getMessage() for each in caplog.records] == ["a periodic background task failed; it will run again"]
    await tasks.cancel()


async def test_what_is_repeated_may_be_done_at_once() -> None:
    tasks, done = BackgroundTasks(), list[int]()
    tasks.repeat(0.0, lambda: done.append(1))
    await until(lambda: len(done) >= 3)
    await tasks.cancel()


async def test_a_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tasks, work = BackgroundTasks(), Work()
    with caplog.at_level(logging.ERROR):
        tasks.spawn(work.do())
        await until(lambda: bool(caplog.records))
    assert caplog.records[0].exc_info is not None
    assert str(caplog.records[0].exc_info[1]) == "by a test"
    await tasks.cancel()


async def test_what_is_cancelled_has_ended_before_anything_else_does_and_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks, told = BackgroundTasks(), []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            told.append("ended")

    tasks.spawn(wait())
    await settle()
    await tasks.cancel()
    assert told == ["ended"]
    await tasks.cancel()
    assert caplog.records == []


async def test_work_that_only_its_loop_knows_is_not_collected() -> None:
    tasks, told = BackgroundTasks(), []

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()
        told.append("never")

    async def tell() -> None:
        try:
            await wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    tasks.spawn(tell())
    await settle()
    gc.collect()
    assert told == []
    await tasks.cancel()
    assert told == ["cancelled"]


async def test_work_that_has_ended_is_forgotten() -> None:
    tasks, before = BackgroundTasks(), asyncio.all_tasks()
    tasks.spawn(asyncio.sleep(0))
    (task,) = asyncio.all_tasks() - before
    held = weakref.ref(task)
    del task
    await settle()
    gc.collect()
    assert held() is None
