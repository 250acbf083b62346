"""The thread that runs graphs."""

import asyncio
import weakref
from collections.abc import Iterator

import pytest

from service.engine.graph_thread import GraphThread
from tests.fakes.process import until

pytestmark = pytest.mark.anyio


class Batch:
    """Something large."""

    def sizes(self) -> Iterator[int]:
        """What runs return."""
        yield from (7, 8)


async def test_a_thread_that_could_not_warm_up_runs_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def warm_up() -> None:
        raise MemoryError("by a test")

    thread: GraphThread[int] = GraphThread("test", warm_up)
    told: asyncio.Queue[int] = asyncio.Queue()
    thread.submit(Batch().sizes(), told.put_nowait)
    async with asyncio.timeout(10):
        assert [await told.get(), await told.get()] == [7, 8]
    assert caplog.messages == ["the thread test could not warm up its graphs"]
    await thread.stop()


async def test_what_has_run_is_not_kept_until_the_next_run() -> None:
    thread: GraphThread[int] = GraphThread("test")
    told: asyncio.Queue[int] = asyncio.Queue()
    batch = Batch()
    kept = weakref.ref(batch)
    thread.submit(batch.sizes(), told.put_nowait)
    del batch
    assert [await told.get(), await told.get()] == [7, 8]
    await until(lambda: kept() is None)  # the thread may still be about to wait
    await thread.stop()
