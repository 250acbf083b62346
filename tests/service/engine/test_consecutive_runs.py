"""Runs of a job one after the other: how they are told, and what ends them, also where it is alone in the thread."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from service.engine.engine import Engine
from service.engine.job import BatchBuilder, PreparedBatch
from service.engine.state import Array
from service.errors import ShuttingDown
from tests.fakes.graphs import BAD, RecordingObserver, SumGraphs, total_of
from tests.fakes.process import until
from tests.service.engine.serving import FRESH, FailsOnce, job, run, serving, total, totals, turn, wide

pytestmark = pytest.mark.anyio


def block_until(condition: Callable[[], bool]) -> None:
    """Wait without letting the event loop do anything."""
    deadline = time.perf_counter() + 10
    while not condition():
        assert time.perf_counter() < deadline
        time.sleep(0.001)


def block_for(seconds: float) -> None:
    """Wait likewise, for a time."""
    time.sleep(seconds)


async def test_runs_are_told_one_by_one_and_wait_for_nobody() -> None:
    graphs = SumGraphs()
    async with serving(graphs) as engine:
        runs = engine.submit_runs("encode", FRESH, {"x": np.arange(1, 7)}, 6, keep=["sums"])
        assert await total(engine, 1, 1, 1, 1, 1, 1) == 6
        assert [size for _, size, _ in graphs.runs] == [4, 1, 1]
        told = [await runs.next() for _ in range(3)]
    assert [one.outputs["sums"].tolist() for one in told] == [[1, 3, 6, 10], [15], [21]]
    assert [total_of(one.row) for one in told] == [10, 15, 21]


class PermittedGraphs(SumGraphs):
    """Each run needs a permit, for which it waits once it has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)
        self.num_begun = 0

    def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        self.num_begun += 1
        assert self.permits.acquire(timeout=10)
        return super().run(stage, rung, feeds, names)


class ThreadBuilder(BatchBuilder):
    """All runs are done in the engine's thread."""

    may_run_inline = False


@asynccontextmanager
async def thread_only(graphs: SumGraphs) -> AsyncIterator[Engine]:
    engine = Engine(graphs, RecordingObserver(), builder=ThreadBuilder(graphs.bundle))
    engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def test_a_run_is_told_before_the_next_one_is_over() -> None:
    graphs = PermittedGraphs()
    async with thread_only(graphs) as engine:
        runs = engine.submit_runs("encode", FRESH, {"x": np.ones(9, int)}, 9, keep=["sums"])
        for summed in (4, 8, 9):
            graphs.permits.release()
            async with asyncio.timeout(10):
                assert total_of((await runs.next()).row) == summed


async def test_the_runs_of_a_job_that_is_alone_do_not_wait_for_the_event_loop() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with thread_only(graphs) as engine:
        runs = engine.submit_runs("encode", FRESH, {"x": np.arange(1, 10)}, 9, keep=["sums"])
        await turn()
        graphs.gate.set()
        block_until(lambda: len(graphs.runs) == 3)
        told = [await runs.next() for _ in range(3)]
        assert engine.is_idle
    assert [size for _, size, _ in graphs.runs] == [4, 4, 1]
    assert [one.outputs["sums"].tolist() for one in told] == [[1, 3, 6, 10], [15, 21, 28, 36], [45]]
    assert [total_of(one.row) for one in told] == [10, 36, 45]


async def test_a_rung_that_was_reserved_for_more_items_than_are_left_is_not_waited_for() -> None:
    graphs = SumGraphs()
    async with serving(graphs) as engine, asyncio.timeout(10):
        long, bad = job(*range(1, 6)), job(BAD)
        await run(engine, long, bad)  # their run fails, and the long one alone takes its own rung
        assert (totals(long), type(bad.error)) == ([15], RuntimeError)
        assert engine.is_idle
    assert [size for _, size, _ in graphs.runs] == [1, 4, 1, 1]


async def test_a_wide_job_that_was_to_share_a_rung_goes_its_own_way_alone() -> None:
    graphs = PermittedGraphs()
    engine = Engine(graphs, RecordingObserver(), max_batch_rows=64, builder=ThreadBuilder(graphs.bundle))
    engine.start()
    async with asyncio.timeout(10):
        first, late = asyncio.create_task(total(engine, 1)), job(1, 2)
        await turn()
        own, gone = wide(*[range(12)] * 10), wide(*[[1]] * 60)
        running = asyncio.create_task(run(engine, own, gone))  # too many rows together: one of the two is next
        await turn()
        engine.withdraw(gone)
        for num_runs in range(1, 5):  # the first row, and what the wide job runs alone
            graphs.permits.release()
            await until(lambda num_runs=num_runs: len(graphs.runs) == num_runs)  # type: ignore[misc]
        joining = asyncio.create_task(run(engine, late))
        await turn()
        graphs.permits.release(20)
        await asyncio.gather(first, joining)
        await until(lambda: not own.remaining)
        running.cancel()
        assert totals(own) == [66] * 10
        assert engine.is_idle
    await engine.stop()


async def test_short_runs_of_a_job_that_was_alone_in_the_thread_go_back_to_the_event_loop() -> None:
    is_on_loop = list[bool]()

    class Noting(SumGraphs):
        def run(self, stage: str, rung: int, feeds: Mapping[str, np.ndarray], names: Sequence[str]) -> list[np.ndarray]:
            is_on_loop.append(threading.current_thread() is threading.main_thread())
            return super().run(stage, rung, feeds, names)

    graphs = Noting()
    async with serving(graphs) as engine:
        await total(engine, 1)  # nothing is known of the first runs
        await total(engine, 1, 2, 3, 4)
        assert await total(engine, *range(9)) == 36
    assert is_on_loop == [False, False, True, True, True]


async def test_runs_go_on_as_long_as_they_are_extended() -> None:
    graphs = SumGraphs()
    async with thread_only(graphs) as engine, asyncio.timeout(10):
        runs = engine.submit_runs("encode", FRESH, {"x": np.arange(1, 25)}, 4, keep=["sums"])
        for _ in range(5):
            assert runs.extend(4)
        assert [total_of((await runs.next()).row) for _ in range(6)] == [10, 36, 78, 136, 210, 300]
        assert not runs.extend(4)
        assert engine.is_idle
    assert graphs.runs == [("encode", 4, 1)] * 6


async def test_a_job_that_comes_later_shares_the_next_run_of_one_that_was_alone() -> None:
    graphs = PermittedGraphs()
    async with thread_only(graphs) as engine:
        long = asyncio.create_task(total(engine, *range(12)))
        await turn()
        graphs.permits.release()
        await until(lambda: graphs.num_begun == 2)  # its second run waits for a permit
        short = asyncio.create_task(total(engine, 1, 2, 3, 4))
        await turn()
        graphs.permits.release(2)
        async with asyncio.timeout(10):
            assert await asyncio.gather(long, short) == [66, 10]
    assert graphs.runs == [("encode", 4, 1), ("encode", 4, 1), ("encode", 4, 2)]


async def test_a_wide_job_that_is_alone_goes_on_from_its_own_rows() -> None:
    rows = [list(range(start, start + 10)) for start in range(3)]
    async with thread_only(SumGraphs()) as engine:
        own = wide(*rows, keep=("sums",))
        await run(engine, own)
    assert totals(own) == [sum(row) for row in rows]
    np.testing.assert_array_equal(engine.outputs_of(own)["sums"], np.cumsum(rows, axis=1))


@pytest.mark.parametrize("is_stopped_by", ["withdrawal", "stop"])
async def test_a_job_that_was_alone_ends_with_the_run_under_way(is_stopped_by: str) -> None:
    graphs = PermittedGraphs()
    async with thread_only(graphs) as engine:
        runs = engine.submit_runs("encode", FRESH, {"x": np.ones(40, int)}, 40, keep=["sums"])
        await turn()
        graphs.permits.release()
        await until(lambda: graphs.num_begun == 2)
        stopping = asyncio.create_task(engine.stop()) if is_stopped_by == "stop" else None
        runs.withdraw() if stopping is None else await turn()
        graphs.permits.release(9)
        async with asyncio.timeout(10):
            if stopping is None:
                block_until(lambda: len(graphs.runs) == 2)
                block_for(0.02)  # nobody else comes, so that the thread could go on with it
                assert graphs.num_begun == 2
                assert await total(engine, 1) == 1
                assert engine.is_idle
            else:
                await stopping
                assert [total_of((await runs.next()).row) for _ in range(2)] == [4, 8]
                with pytest.raises(ShuttingDown):
                    await runs.next()
    assert len(graphs.runs) == 2 + (stopping is None)


async def test_a_job_that_was_alone_fails_once_if_a_run_could_not_be_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with thread_only(graphs) as engine, asyncio.timeout(10):
        fails = FailsOnce(PreparedBatch, "apply", monkeypatch)
        runs = engine.submit_runs("encode", FRESH, {"x": np.ones(40, int)}, 40, keep=["sums"])
        await turn()
        graphs.gate.set()
        with pytest.raises(MemoryError):
            await runs.next()
        assert fails.has_failed
        assert await total(engine, 1, 2) == 3
        assert engine.is_idle


async def test_a_run_that_cannot_follow_at_once_follows_through_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = SumGraphs()
    async with thread_only(graphs) as engine, asyncio.timeout(10):
        fails = FailsOnce(PreparedBatch, "following", monkeypatch)
        assert await total(engine, *range(12)) == 66
    assert fails.has_failed
    assert graphs.runs == [("encode", 4, 1)] * 3


async def test_runs_before_a_failed_one_are_told_and_then_the_failure() -> None:
    async with serving(SumGraphs()) as engine:
        runs = engine.submit_runs("encode", FRESH, {"x": np.array([1, 1, 1, 1, BAD])}, 5, keep=["sums"])
        assert total_of((await runs.next()).row) == 4
        for _ in range(2):
            with pytest.raises(RuntimeError, match="bad row"):
                await runs.next()


async def test_runs_that_are_withdrawn_end_with_the_one_under_way() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs) as engine:
        runs = engine.submit_runs("encode", FRESH, {"x": np.ones(40, int)}, 40, keep=["sums"])
        await turn()
        runs.withdraw()
        graphs.gate.set()
        assert await total(engine, 1) == 1
        assert graphs.runs == [("encode", 4, 1), ("encode", 1, 1)]
        assert engine.is_idle
