"""The engine: what it answers, and whom a failure or a cancellation touches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from service.engine import Engine
from service.errors import QueueFull, TooLarge
from service.state import Row
from tests.fakes.graphs import RecordingObserver, SumGraphs

pytestmark = pytest.mark.anyio
ZERO: Row = {"total": np.array(0)}


@asynccontextmanager
async def serving(graphs: SumGraphs, max_batch_rows: int = 8, max_queue_rows: int = 100) -> AsyncIterator[Engine]:
    engine = Engine(graphs, RecordingObserver(), max_batch_rows=max_batch_rows, max_queue_rows=max_queue_rows)
    engine.start()
    try:
        yield engine
    finally:
        graphs.gate.set()
        await engine.stop()


async def total(engine: Engine, *items: int) -> int:
    advance = await engine.advance("encode", ZERO, {"x": np.array(items)}, len(items))
    return int(advance.row["total"])


async def turn() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_length_goes_through_the_rungs_in_order() -> None:
    graphs = SumGraphs()
    async with serving(graphs) as engine:
        items = np.arange(1, 7)
        advance = await engine.advance("encode", ZERO, {"x": items}, 6, keep=["sums", "last"])
    assert graphs.runs == [("encode", 4, 1), ("encode", 1, 1), ("encode", 1, 1)]
    np.testing.assert_array_equal(advance.outputs["sums"], np.cumsum(items))
    assert advance.outputs["last"] == advance.row["total"] == 21


async def test_the_state_that_was_given_is_not_changed() -> None:
    async with serving(SumGraphs()) as engine:
        await total(engine, 5)
    assert ZERO["total"] == 0


async def test_a_stage_that_answers_from_the_state_leaves_it_as_it_is() -> None:
    async with serving(SumGraphs()) as engine:
        row = {"total": np.array(3)}
        advance = await engine.advance("forecast", row, {"scale": np.array(10)}, 2, keep=["multiples"])
    assert advance.outputs["multiples"].tolist() == [30, 60]
    assert advance.row == row


async def test_rows_that_wait_together_share_a_run() -> None:
    graphs = SumGraphs()
    async with serving(graphs) as engine:
        totals = await asyncio.gather(*(total(engine, n) for n in range(5)))
    assert totals == [0, 1, 2, 3, 4]
    assert graphs.runs == [("encode", 1, 5)]


async def test_rows_join_while_others_are_under_way() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs) as engine:
        first = asyncio.create_task(total(engine, 1, 1))
        await turn()
        second = asyncio.create_task(total(engine, 7))
        await turn()
        graphs.gate.set()
        assert await asyncio.gather(first, second) == [2, 7]
    assert graphs.runs == [("encode", 1, 1), ("encode", 1, 2)]


async def test_a_bad_row_fails_alone() -> None:
    async with serving(SumGraphs()) as engine:
        answers = await asyncio.gather(total(engine, 1), total(engine, -1), total(engine, 2), return_exceptions=True)
        assert answers[::2] == [1, 2]
        assert isinstance(answers[1], RuntimeError)
        assert await total(engine, 4) == 4


async def test_a_cancelled_request_does_not_block_its_batch() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs) as engine:
        running = asyncio.create_task(total(engine, 1, 1))
        await turn()
        waiting = asyncio.create_task(total(engine, 2))
        mate = asyncio.create_task(total(engine, 3))
        await turn()
        running.cancel()
        waiting.cancel()
        await turn()
        graphs.gate.set()
        assert await mate == 3
        assert await asyncio.gather(running, waiting, return_exceptions=True) != [2, 2]
    assert graphs.runs[-1] == ("encode", 1, 1)


async def test_cancelled_rows_give_their_place_in_the_queue_back() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs, max_queue_rows=2) as engine:
        tasks = [asyncio.create_task(total(engine, 1, 2)) for _ in range(2)]
        await turn()
        with pytest.raises(QueueFull):
            await total(engine, 1)
        for task in tasks:
            task.cancel()
        graphs.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(10):
            assert await retried(engine, 1) == 1
        assert await asyncio.gather(total(engine, 1), total(engine, 2)) == [1, 2]


async def retried(engine: Engine, item: int) -> int:
    """Ask again, as a client would, until the queue has room."""
    try:
        return await total(engine, item)
    except QueueFull:
        await asyncio.sleep(0)
        return await retried(engine, item)


async def test_rows_of_one_sequence_are_admitted_together_or_not_at_all() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs, max_queue_rows=2) as engine:
        waiting = asyncio.create_task(total(engine, 1))
        await turn()
        with pytest.raises(QueueFull):
            await engine.advance_all("encode", [ZERO] * 2, [{"x": np.array([1])}] * 2, 1)
        graphs.gate.set()
        await waiting
        advances = await engine.advance_all("encode", [ZERO] * 2, [{"x": np.array([n])} for n in (4, 5)], 1)
    assert [int(advance.row["total"]) for advance in advances] == [4, 5]
    assert graphs.runs == [("encode", 1, 1), ("encode", 1, 2)]


async def test_a_turn_that_stumbles_fails_its_jobs_and_the_next_turn_comes() -> None:
    async with serving(SumGraphs()) as engine:
        with pytest.raises(KeyError):
            await engine.advance("encode", ZERO, {"x": np.array([1])}, 1, keep=["nosuch"])
        assert engine.is_serving
        assert await total(engine, 1, 2) == 3


async def test_more_rows_than_the_queue_ever_takes_are_too_large() -> None:
    async with serving(SumGraphs(), max_queue_rows=2) as engine:
        with pytest.raises(TooLarge):
            await engine.advance_all("encode", [ZERO] * 3, [{"x": np.array([1])}] * 3, 1)


async def test_every_item_is_counted_once() -> None:
    graphs, observer = SumGraphs(), RecordingObserver()
    engine = Engine(graphs, observer)
    engine.start()
    await asyncio.gather(total(engine, 1, 2, 3, 4, 5), total(engine, 1))
    await engine.stop()
    assert observer.steps == 6
    assert min(observer.waits) >= 0
