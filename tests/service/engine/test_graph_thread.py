"""The thread that runs graphs."""

import asyncio
import weakref

import pytest

from service.engine.graph_thread import GraphThread
from tests.fakes.process import until

pytestmark = pytest.mark.anyio


class Batch:
    """Something large."""

    def size(self) -> int:
        """What a run returns."""
        return 7


async def test_what_has_run_is_not_kept_until_the_next_run() -> None:
    thread: GraphThread[int] = GraphThread("test")
    ran: asyncio.Future[int | Exception] = asyncio.get_running_loop().create_future()
    batch = Batch()
    kept = weakref.ref(batch)
    thread.submit(batch.size, lambda result, _: ran.set_result(result))
    del batch
    assert await ran == 7
    await until(lambda: kept() is None)  # the thread may still be about to wait
    await thread.stop()
